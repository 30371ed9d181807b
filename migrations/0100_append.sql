-- es.append in fewer statements. Who reads the log sees what it saw before; what changed is what an append costs.

-- As before, with four differences. Positions are drawn first, in the order of the arguments and under the floor, so that
-- the events are one plain insert. The heads are moved run by run (events of one stream that follow each other), in the
-- order of the streams' ids, which a command of one stream needs no query for; a run whose versions leave one out or come
-- twice is refused. An event's id is a hash of its command and its place in it, with a random number for a history that
-- goes on anew after a restore: a server without OpenSSL opens /dev/urandom for every gen_random_uuid().
CREATE OR REPLACE FUNCTION es.append(
  p_command uuid, p_request_sha bytea, p_reply bytea, p_correlation uuid, p_causation uuid, p_actor uuid,
  p_origin text, p_ip inet, p_user_agent text,
  p_stream uuid[], p_version int[], p_type int[], p_schema smallint[], p_data bytea[]
) RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  -- Expressions, not statements: plpgsql evaluates them without starting an executor.
  floor bigint := coalesce(pg_sequence_last_value('es.position'), 0);
  floor_held boolean := pg_advisory_xact_lock_shared((1::bigint << 61) | floor) IS NULL;
  positions bigint[];
  firsts int[];  -- where runs begin
  lasts int[];  -- and end, at the same subscripts
  first int;
  last int;
BEGIN
  FOR i IN 1..cardinality(p_stream) LOOP
    positions[i] := nextval('es.position');
    IF p_stream[i] = p_stream[i - 1] AND p_version[i] = p_version[i - 1] + 1 THEN
      lasts[first] := i;
    ELSE
      first := i;
      firsts := firsts || first;
      lasts[first] := i;
    END IF;
  END LOOP;
  INSERT INTO es.event (position, stream_id, version, part, type, schema_version, event_id, command_id, correlation_id,
                        causation_id, actor_id, origin, data)
  SELECT positions[i], p_stream[i], p_version[i], hashtextextended(p_stream[i]::text, 0) & 63, p_type[i], p_schema[i],
         encode(substr(sha256((p_command::text || i || random())::bytea), 1, 16), 'hex')::uuid,
         p_command, p_correlation, p_causation, p_actor, p_origin, p_data[i]
  FROM generate_subscripts(p_stream, 1) AS i;
  IF cardinality(firsts) > 1 THEN  -- in one order everywhere, so that two commands never wait for each other
    firsts := ARRAY(SELECT f FROM unnest(firsts) AS f ORDER BY p_stream[f], f);
  END IF;
  FOREACH first IN ARRAY firsts LOOP
    last := lasts[first];
    IF p_version[first] > 1 THEN
      UPDATE es.stream SET version = p_version[last], last_position = positions[last]
      WHERE stream_id = p_stream[first] AND version = p_version[first] - 1;
    ELSE
      INSERT INTO es.stream AS head (stream_id, version, first_position, last_position)
      VALUES (p_stream[first], p_version[last], positions[first], positions[last])
      ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, last_position = excluded.last_position
      WHERE head.version = p_version[first] - 1;
    END IF;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'stream % does not go on with version %', p_stream[first], p_version[first]
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
