DROP FUNCTION es.maintain_events(bigint, int);
DROP FUNCTION es.cover_events(bigint, bigint, bigint);
DROP FUNCTION es.make_event_partition(bigint, bigint);
CREATE TABLE es.event_whole (LIKE es.event INCLUDING DEFAULTS);
INSERT INTO es.event_whole SELECT * FROM es.event;
DROP TABLE es.event;
ALTER TABLE es.event_whole RENAME TO event;
ALTER TABLE es.event ADD CONSTRAINT event_pkey PRIMARY KEY (stream_id, version);
ALTER TABLE es.event ADD CONSTRAINT event_position_key UNIQUE (position);
CREATE INDEX event_long ON es.event (stream_id, version) WHERE version % 200 = 0;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.event ENABLE ALWAYS TRIGGER append_only;
DROP TABLE es.event_partition;
DROP TABLE es.stream;
GRANT USAGE, SELECT ON SEQUENCE es.position TO tracker_app, tracker_projector;
GRANT SELECT, INSERT ON es.event, es.command TO tracker_app, tracker_projector;
GRANT SELECT, INSERT ON es.command_context TO tracker_app;
CREATE OR REPLACE FUNCTION es.append(
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
GRANT EXECUTE ON FUNCTION es.append(uuid, bytea, bytea, uuid, uuid, uuid, text, inet, text, uuid[], int[], int[],
  smallint[], bytea[]) TO PUBLIC;
