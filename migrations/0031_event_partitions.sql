-- The log in partitions by position, so that its oldest part can be moved away whole; and a head for each stream, which
-- is what keeps (stream_id, version) unique now: a unique index of a partitioned table has to contain the position.

CREATE TABLE es.stream (
  stream_id uuid PRIMARY KEY,
  version int NOT NULL,  -- of its last event: an append has to go on from it
  first_position bigint NOT NULL,  -- which partitions its events are in
  last_position bigint NOT NULL
) WITH (fillfactor = 70);
INSERT INTO es.stream (stream_id, version, first_position, last_position)
SELECT stream_id, max(version), min(position), max(position) FROM es.event GROUP BY 1;

CREATE TABLE es.event_partition (
  begins bigint PRIMARY KEY,  -- the first position that it may hold
  ends bigint NOT NULL CHECK (ends > begins),  -- the first that it may not
  name text NOT NULL UNIQUE
);

-- What there is becomes the first partition as it lies: only its indexes are made anew.
ALTER TABLE es.event RENAME TO event_first;
ALTER TABLE es.event_first DROP CONSTRAINT event_pkey;
ALTER TABLE es.event_first DROP CONSTRAINT event_position_key;
DROP INDEX es.event_long;
REVOKE ALL ON es.event_first FROM tracker_app, tracker_projector;
CREATE TABLE es.event (LIKE es.event_first INCLUDING DEFAULTS, CONSTRAINT event_pkey PRIMARY KEY (position))
  PARTITION BY RANGE (position);
CREATE INDEX event_stream ON es.event (stream_id, version);
CREATE INDEX event_long ON es.event (stream_id, version) WHERE version % 200 = 0;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.event ENABLE ALWAYS TRIGGER append_only;
DO $$
DECLARE
  ends bigint;
BEGIN
  SELECT (coalesce(max(position), 0) / 20000000 + 1) * 20000000 INTO ends FROM es.event_first;
  EXECUTE format('ALTER TABLE es.event ATTACH PARTITION es.event_first FOR VALUES FROM (MINVALUE) TO (%s)', ends);
  INSERT INTO es.event_partition VALUES (-9223372036854775808, ends, 'event_first');
END $$;

-- Makes a partition. Appends and readers go on meanwhile: nothing of the parent is locked that they need.
CREATE FUNCTION es.make_event_partition(p_begins bigint, p_ends bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  name text := 'event_' || p_begins;
BEGIN
  EXECUTE format('CREATE TABLE es.%I (LIKE es.event INCLUDING DEFAULTS)', name);
  -- A statement trigger guards the table that a statement names: each partition needs one of its own.
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I '
                 'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
  EXECUTE format('ALTER TABLE es.%I ENABLE ALWAYS TRIGGER append_only', name);
  EXECUTE format('ALTER TABLE es.event ATTACH PARTITION es.%I FOR VALUES FROM (%s) TO (%s)', name, p_begins, p_ends);
  INSERT INTO event_partition VALUES (p_begins, p_ends, name);
END $$;

-- Makes the partitions of p_size positions that are missing from p_from to p_upto; returns how many.
CREATE FUNCTION es.cover_events(p_from bigint, p_upto bigint, p_size bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  covered bigint;
  made int := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7937, 0);  -- every worker does this
  LOOP
    SELECT max(ends) INTO covered FROM event_partition;
    EXIT WHEN covered > p_upto;
    covered := greatest(covered, p_from - p_from % p_size);  -- positions jump after a restore
    PERFORM make_event_partition(covered, (covered / p_size + 1) * p_size);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- Makes the partition of the next position, and p_ahead more.
CREATE FUNCTION es.maintain_events(p_size bigint, p_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  next bigint;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END + 1 INTO next FROM es.position;
  RETURN cover_events(next, next + p_ahead * p_size, p_size);
END $$;

DO $$ BEGIN PERFORM es.maintain_events(20000000, 2); END $$;

-- As before, and each stream goes on from its head. Events are written by this function alone: no role may insert any.
-- Positions come in the order of the arguments, so the heads are known without reading what was written.
CREATE OR REPLACE FUNCTION es.append(
  p_command uuid, p_request_sha bytea, p_reply bytea, p_correlation uuid, p_causation uuid, p_actor uuid,
  p_origin text, p_ip inet, p_user_agent text,
  p_stream uuid[], p_version int[], p_type int[], p_schema smallint[], p_data bytea[]
) RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  floor bigint;
  positions bigint[];
  moved record;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO floor FROM es.position;
  PERFORM pg_advisory_xact_lock_shared((1::bigint << 61) | floor);
  WITH appended AS (
    INSERT INTO es.event (stream_id, version, part, type, schema_version, command_id, correlation_id, causation_id,
                          actor_id, origin, data)
    SELECT s, v, hashtextextended(s::text, 0) & 63, t, c, p_command, p_correlation, p_causation, p_actor, p_origin, d
    FROM unnest(p_stream, p_version, p_type, p_schema, p_data) WITH ORDINALITY AS e (s, v, t, c, d, n)
    ORDER BY n
    RETURNING position)
  SELECT array_agg(position ORDER BY position) INTO positions FROM appended;
  FOR moved IN  -- in one order everywhere, so that two commands never wait for each other
    SELECT s, min(v) AS first, max(v) AS last, count(*) AS events, min(p) AS begins, max(p) AS ends
    FROM unnest(p_stream, p_version, positions) AS e (s, v, p) GROUP BY s ORDER BY s
  LOOP
    IF moved.first > 1 THEN
      UPDATE es.stream SET version = moved.last, last_position = moved.ends
      WHERE stream_id = moved.s AND version = moved.first - 1;
    ELSE
      INSERT INTO es.stream AS head (stream_id, version, first_position, last_position)
      VALUES (moved.s, moved.last, moved.begins, moved.ends)
      ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, last_position = excluded.last_position
      WHERE head.version = moved.first - 1;
    END IF;
    IF NOT FOUND OR moved.last - moved.first + 1 <> moved.events THEN
      RAISE EXCEPTION 'stream % does not go on with version %', moved.s, moved.first
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'stream_pkey';
    END IF;
  END LOOP;
  INSERT INTO es.command (command_id, actor_id, request_sha, reply, first_position, last_position)
  VALUES (p_command, p_actor, p_request_sha, p_reply, positions[1], positions[cardinality(positions)]);
  IF p_ip IS NOT NULL OR p_user_agent IS NOT NULL THEN
    INSERT INTO es.command_context (command_id, ip, user_agent) VALUES (p_command, p_ip, p_user_agent);
  END IF;
  RETURN positions;
END $$;

GRANT SELECT ON es.event, es.stream, es.event_partition TO tracker_app, tracker_projector;
REVOKE INSERT ON es.command FROM tracker_app, tracker_projector;
REVOKE INSERT ON es.command_context FROM tracker_app;
REVOKE USAGE ON SEQUENCE es.position FROM tracker_app, tracker_projector;
REVOKE EXECUTE ON FUNCTION es.append(uuid, bytea, bytea, uuid, uuid, uuid, text, inet, text, uuid[], int[], int[],
  smallint[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.append(uuid, bytea, bytea, uuid, uuid, uuid, text, inet, text, uuid[], int[], int[],
  smallint[], bytea[]) TO tracker_app;
REVOKE EXECUTE ON FUNCTION es.make_event_partition(bigint, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION es.cover_events(bigint, bigint, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION es.maintain_events(bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.maintain_events(bigint, int) TO tracker_projector;
