-- The announce journal: what the edges heard, as they wrote it, in one hash chain per edge.

CREATE SCHEMA journal;
GRANT USAGE ON SCHEMA journal TO tracker_app, tracker_projector;

-- Partitioned by day so that old days can be moved away whole. A primary key on a partitioned table must contain the
-- day, so it cannot hold (edge_id, seq) unique on its own: journal.head and the trigger below do, and hold the chain.
CREATE TABLE journal.segment (
  edge_id text NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  day date NOT NULL CHECK (day = (last_at AT TIME ZONE 'UTC')::date),
  announces int NOT NULL CHECK (announces > 0),
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL CHECK (last_at >= first_at),
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  previous bytea NOT NULL CHECK (length(previous) = 32),  -- 32 zero bytes before the first
  data bytea NOT NULL,
  shipped_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (edge_id, seq, day)
) PARTITION BY RANGE (day);
ALTER TABLE journal.segment ALTER COLUMN data SET STORAGE EXTERNAL;  -- compressed already
CREATE TABLE journal.segment_rest PARTITION OF journal.segment DEFAULT;

-- The end of each edge's chain.
CREATE TABLE journal.head (
  edge_id text PRIMARY KEY,
  seq bigint NOT NULL,
  sha256 bytea NOT NULL
) WITH (fillfactor = 50);

-- A segment is taken only at the end of its edge's chain: no gap, no fork, no second process with the same edge id.
CREATE FUNCTION journal.extend_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
BEGIN
  IF NEW.seq = 1 AND NEW.previous = decode(repeat('00', 32), 'hex') THEN
    INSERT INTO journal.head (edge_id, seq, sha256) VALUES (NEW.edge_id, 1, NEW.sha256) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE journal.head SET seq = NEW.seq, sha256 = NEW.sha256
    WHERE edge_id = NEW.edge_id AND seq = NEW.seq - 1 AND sha256 = NEW.previous;
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'segment % is not the next of edge %', NEW.seq, NEW.edge_id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER extend_chain BEFORE INSERT ON journal.segment FOR EACH ROW EXECUTE FUNCTION journal.extend_chain();

-- Row triggers are copied to every partition, statement triggers are not; TRUNCATE has only statement triggers.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.segment
  FOR EACH ROW EXECUTE FUNCTION es.refuse_change();
ALTER TABLE journal.segment ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal.segment FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE journal.segment ENABLE ALWAYS TRIGGER no_truncate;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal.segment_rest FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE journal.segment_rest ENABLE ALWAYS TRIGGER no_truncate;

-- Makes the partitions of the p_days days that follow p_now's. Days that began without one stay in the default partition.
CREATE FUNCTION journal.maintain_segments(p_now timestamptz, p_days int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  today date := (p_now AT TIME ZONE 'UTC')::date;
  next_day date;
  name text;
BEGIN
  FOR ahead IN 1 .. p_days LOOP
    next_day := today + ahead;
    name := 'segment_' || to_char(next_day, 'YYYYMMDD');
    CONTINUE WHEN to_regclass('journal.' || name) IS NOT NULL;
    CONTINUE WHEN EXISTS (SELECT FROM journal.segment_rest WHERE day = next_day);
    EXECUTE format('CREATE TABLE journal.%I PARTITION OF journal.segment FOR VALUES FROM (%L) TO (%L)',
                   name, next_day, next_day + 1);
    EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal.%I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
    EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER no_truncate', name);
  END LOOP;
END $$;

GRANT SELECT, INSERT ON journal.segment TO tracker_app;
GRANT SELECT ON journal.segment TO tracker_projector;
GRANT SELECT ON journal.head TO tracker_app, tracker_projector;
REVOKE EXECUTE ON FUNCTION journal.extend_chain() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION journal.maintain_segments(timestamptz, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.maintain_segments(timestamptz, int) TO tracker_projector;
