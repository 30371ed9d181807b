-- Addresses in segments that were shipped in clear are encrypted once, where they lie. What a segment was sealed as keeps
-- its place in the chain; what lies there now has a hash of its own, and an event says so.
ALTER TABLE journal.segment ADD COLUMN encrypted_sha256 bytea CHECK (length(encrypted_sha256) = 32);

-- What edges had shipped before they encrypted it: nothing after this is ever replaced.
CREATE TABLE journal.shipped_in_clear (
  edge_id text PRIMARY KEY,
  upto_seq bigint NOT NULL
);
INSERT INTO journal.shipped_in_clear (edge_id, upto_seq) SELECT edge_id, seq FROM journal.head;

-- What was replaced, as it was declared: the hash of all hashes of the segments from first to last.
CREATE TABLE journal.encrypted (
  edge_id text NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  PRIMARY KEY (edge_id, first_seq)
);

-- Lets a segment that was shipped in clear be replaced once, and refuses every other change. Row triggers of a
-- partitioned table are those of all its partitions.
CREATE FUNCTION journal.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.encrypted_sha256 IS NULL AND NEW.encrypted_sha256 IS NOT NULL
     AND EXISTS (SELECT FROM journal.shipped_in_clear c WHERE c.edge_id = OLD.edge_id AND OLD.seq <= c.upto_seq)
     AND (NEW.edge_id, NEW.seq, NEW.day, NEW.announces, NEW.first_at, NEW.last_at, NEW.sha256, NEW.previous, NEW.shipped_at)
       = (OLD.edge_id, OLD.seq, OLD.day, OLD.announces, OLD.first_at, OLD.last_at, OLD.sha256, OLD.previous, OLD.shipped_at)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER append_only ON journal.segment;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.segment
  FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
ALTER TABLE journal.segment ENABLE ALWAYS TRIGGER append_only;

-- Replaces consecutive segments of an edge. Refused: any that was not shipped in clear or was replaced before.
CREATE FUNCTION journal.encrypt_segments(
  p_edge text, p_day date, p_first bigint, p_data bytea[], p_sha256 bytea[], p_of_all bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  replaced int;
BEGIN
  UPDATE segment s SET data = n.data, encrypted_sha256 = n.sha256
  FROM unnest(p_data, p_sha256) WITH ORDINALITY AS n (data, sha256, place)
  WHERE s.edge_id = p_edge AND s.day = p_day AND s.seq = p_first + n.place - 1 AND s.encrypted_sha256 IS NULL;
  GET DIAGNOSTICS replaced = ROW_COUNT;
  IF replaced <> cardinality(p_data) THEN
    RAISE EXCEPTION 'segments from % of % are missing or were replaced', p_first, p_edge USING ERRCODE = 'no_data_found';
  END IF;
  INSERT INTO encrypted (edge_id, first_seq, last_seq, sha256)
  VALUES (p_edge, p_first, p_first + replaced - 1, p_of_all)
  ON CONFLICT (edge_id, first_seq) DO UPDATE SET last_seq = excluded.last_seq, sha256 = excluded.sha256;
END $$;

GRANT SELECT ON journal.shipped_in_clear, journal.encrypted TO tracker_app, tracker_projector;
REVOKE EXECUTE ON FUNCTION journal.encrypt_segments(text, date, bigint, bytea[], bytea[], bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.encrypt_segments(text, date, bigint, bytea[], bytea[], bytea) TO tracker_app;
