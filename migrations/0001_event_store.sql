-- The event store: facts in one global order, append-only, with who asked for them and why.

-- Two roles besides the owner. Neither can change a fact: they hold SELECT and INSERT on es.event and nothing more.
--   tracker_app        commands, queries, the edge: appends facts, reads read tables
--   tracker_projector  followers: reads facts, owns the read tables
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tracker_app', 'tracker_projector'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    EXECUTE format('GRANT %I TO CURRENT_USER', name);
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
  END LOOP;
  EXECUTE format('GRANT CREATE ON DATABASE %I TO tracker_projector', current_database());  -- shadow schemas of rebuilds
END $$;

CREATE SCHEMA es;
GRANT USAGE ON SCHEMA es TO tracker_app, tracker_projector;

CREATE SEQUENCE es.position AS bigint CACHE 1;  -- CACHE 1: the floor locks below rely on it
CREATE TABLE es.event_type (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);

CREATE TABLE es.event (
  position bigint NOT NULL DEFAULT nextval('es.position'),
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  stream_id uuid NOT NULL,
  version int NOT NULL,
  part smallint NOT NULL,  -- hash(stream_id) & 63: the unit of parallel projection
  type int NOT NULL,
  schema_version smallint NOT NULL,
  event_id uuid NOT NULL DEFAULT gen_random_uuid(),
  command_id uuid NOT NULL,
  correlation_id uuid NOT NULL,
  causation_id uuid NOT NULL,
  actor_id uuid NOT NULL,
  origin text NOT NULL,
  data bytea NOT NULL,  -- the exact JSON bytes; personal fields are ciphertext
  PRIMARY KEY (stream_id, version),
  UNIQUE (position)
);

CREATE TABLE es.command (
  command_id uuid PRIMARY KEY,
  actor_id uuid NOT NULL,
  request_sha bytea NOT NULL,
  reply bytea NOT NULL,  -- what the first answer said, so that a repeat can say it again
  first_position bigint NOT NULL,
  last_position bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

-- The caller's address and program live here only, in clear, with a short life of their own.
CREATE TABLE es.command_context (
  command_id uuid NOT NULL,
  ip inet,
  user_agent text,
  at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (at);
CREATE TABLE es.command_context_rest PARTITION OF es.command_context DEFAULT;
CREATE INDEX ON es.command_context (command_id);

CREATE TABLE es.blob (
  sha256 bytea PRIMARY KEY,
  data bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE es.blob ALTER COLUMN data SET STORAGE EXTERNAL;

-- Where each follower (projection or policy) stands. `error` names what it stopped at.
CREATE TABLE es.follower (
  name text PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'halted')),
  error text,
  failed_position bigint,
  moved_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE FUNCTION es.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.event ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.command
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.command ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.blob
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.blob ENABLE ALWAYS TRIGGER append_only;

-- One call, one transaction, one round trip. The appender holds a shared advisory lock named after the last position
-- that it saw BEFORE drawing its own ones; es.safe_position() stays below every floor that is held, so a reader never
-- passes a position that may still commit. No table lock and no NOTIFY, so group commit works.
CREATE FUNCTION es.append(
  p_command uuid, p_request_sha bytea, p_reply bytea, p_correlation uuid, p_causation uuid, p_actor uuid,
  p_origin text, p_ip inet, p_user_agent text,
  p_stream uuid[], p_version int[], p_type int[], p_schema smallint[], p_data bytea[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  floor bigint;
  positions bigint[];
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
  INSERT INTO es.command (command_id, actor_id, request_sha, reply, first_position, last_position)
  VALUES (p_command, p_actor, p_request_sha, p_reply, positions[1], positions[cardinality(positions)]);
  IF p_ip IS NOT NULL OR p_user_agent IS NOT NULL THEN
    INSERT INTO es.command_context (command_id, ip, user_agent) VALUES (p_command, p_ip, p_user_agent);
  END IF;
  RETURN positions;
END $$;

-- The position up to which every fact is committed and visible to the NEXT statement. The sequence is read before the
-- locks: an appender at or below it either still holds its floor or has committed.
CREATE FUNCTION es.safe_position() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head bigint;
  floor bigint;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO head FROM es.position;
  SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 61) - 1)) INTO floor
  FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint >= (1::bigint << 29) AND classid::bigint < (1::bigint << 30);
  RETURN least(head, coalesce(floor, head));
END $$;

-- Monthly partitions of the command context: makes this month's and the next one's, drops what is older than p_keep.
CREATE FUNCTION es.maintain_command_context(p_now timestamptz, p_keep interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  month date;
  old record;
BEGIN
  FOREACH month IN ARRAY ARRAY[date_trunc('month', p_now)::date, (date_trunc('month', p_now) + interval '1 month')::date]
  LOOP
    IF to_regclass(format('es.command_context_%s', to_char(month, 'YYYYMM'))) IS NULL THEN
      EXECUTE format('CREATE TABLE es.command_context_%s (LIKE es.command_context INCLUDING ALL)', to_char(month, 'YYYYMM'));
      EXECUTE format('WITH moved AS (DELETE FROM es.command_context_rest WHERE at >= %L AND at < %L RETURNING *) '
                     'INSERT INTO es.command_context_%s SELECT * FROM moved',
                     month, month + interval '1 month', to_char(month, 'YYYYMM'));
      EXECUTE format('ALTER TABLE es.command_context ATTACH PARTITION es.command_context_%s FOR VALUES FROM (%L) TO (%L)',
                     to_char(month, 'YYYYMM'), month, month + interval '1 month');
    END IF;
  END LOOP;
  FOR old IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'es.command_context'::regclass AND c.relname ~ '^command_context_\d{6}$'
               AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= p_now - p_keep
  LOOP
    EXECUTE format('DROP TABLE es.%I', old.relname);
  END LOOP;
END $$;

GRANT USAGE, SELECT ON SEQUENCE es.position TO tracker_app, tracker_projector;
GRANT SELECT, INSERT ON es.event, es.event_type, es.command, es.blob TO tracker_app, tracker_projector;
GRANT SELECT, INSERT ON es.command_context TO tracker_app;
GRANT SELECT ON es.follower TO tracker_app;
GRANT SELECT, INSERT, UPDATE ON es.follower TO tracker_projector;
REVOKE EXECUTE ON FUNCTION es.maintain_command_context(timestamptz, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.maintain_command_context(timestamptz, interval) TO tracker_projector;
