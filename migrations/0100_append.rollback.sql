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
