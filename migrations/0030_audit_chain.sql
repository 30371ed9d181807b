-- Evidence that nobody changed the log: blocks of event hashes, chained and signed. runtime/audit writes and checks them.

CREATE TABLE es.block (
  no bigint PRIMARY KEY CHECK (no > 0),  -- 1, 2, 3 … without a hole
  first_position bigint NOT NULL,
  last_position bigint NOT NULL CHECK (last_position >= first_position),
  events int NOT NULL CHECK (events > 0),
  total bigint NOT NULL CHECK (total >= events),  -- events of all blocks up to this one
  root bytea NOT NULL CHECK (length(root) = 32),  -- of the Merkle tree over the block's leaves
  previous bytea NOT NULL CHECK (length(previous) = 32),  -- hash of the block before, 32 zero bytes before the first
  tree bytea NOT NULL CHECK (length(tree) = 32),  -- root of the Merkle tree over the hashes of all blocks so far
  sealed_at timestamptz NOT NULL,
  signature bytea NOT NULL CHECK (length(signature) = 64),
  -- The perfect subtrees of that tree which this block completes, smallest first: the block's own hash, then those
  -- that it ends. Any part of the tree is put together from a few of them.
  nodes bytea NOT NULL CHECK (length(nodes) % 32 = 0 AND length(nodes) > 0),
  -- For each event its position in 8 bytes and its leaf in 32: what names the one that was changed.
  leaves bytea NOT NULL CHECK (length(leaves) = 40 * events)
);
CREATE UNIQUE INDEX block_end ON es.block (last_position);
ALTER TABLE es.block ALTER COLUMN leaves SET STORAGE EXTERNAL;  -- hashes do not compress

-- Events whose data was blanked because a court or a law wanted it. The chain stands as it is: the hash of what was
-- there is kept here, together with the hash of what is there instead. Signed, so that no other change can be declared.
CREATE TABLE es.redaction (
  position bigint PRIMARY KEY,
  original_sha256 bytea NOT NULL CHECK (length(original_sha256) = 32),
  data_sha256 bytea NOT NULL CHECK (length(data_sha256) = 32),
  fields text[] NOT NULL,
  reason text NOT NULL CHECK (reason <> ''),
  redacted_at timestamptz NOT NULL,
  signature bytea NOT NULL CHECK (length(signature) = 64)
);

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['block', 'redaction'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
    EXECUTE format('ALTER TABLE es.%I ENABLE ALWAYS TRIGGER append_only', name);
  END LOOP;
END $$;

GRANT SELECT ON es.block, es.redaction TO tracker_app, tracker_projector;
GRANT INSERT ON es.block TO tracker_projector;
