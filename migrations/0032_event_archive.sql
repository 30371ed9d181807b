-- Partitions of the log that lie in files: what was in them, and the only ways out of the table and back.

CREATE TABLE es.archived_events (
  first_position bigint PRIMARY KEY,  -- of its events
  last_position bigint NOT NULL CHECK (last_position >= first_position),
  begins bigint NOT NULL,  -- bounds of the partition
  ends bigint NOT NULL,
  events bigint NOT NULL CHECK (events > 0),
  last_recorded_at timestamptz NOT NULL,
  events_sha256 bytea NOT NULL CHECK (length(events_sha256) = 32),
  streams_sha256 bytea NOT NULL CHECK (length(streams_sha256) = 32),
  archived_at timestamptz NOT NULL DEFAULT now()
);

-- Takes the oldest partition out of the table. p_manifest has the columns above, hashes in hex. Refused: one that is
-- written to or not sealed to its end, that a follower has not read or has put aside, and a manifest that says something
-- else than the table. Whoever calls this has compared the files with the chain.
CREATE FUNCTION es.drop_events(p_begins bigint, p_manifest jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  part event_partition;
  said archived_events := jsonb_populate_record(NULL::archived_events, p_manifest - 'events_sha256' - 'streams_sha256');
  held record;
BEGIN
  PERFORM pg_advisory_xact_lock(7937, 0);
  SELECT * INTO part FROM event_partition ORDER BY begins LIMIT 1;
  IF part.begins <> p_begins THEN
    RAISE EXCEPTION 'older events are not archived yet' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF part.ends > es.safe_position() THEN
    RAISE EXCEPTION 'the partition is still written to' USING ERRCODE = 'insufficient_privilege';
  END IF;
  EXECUTE format('SELECT min(position) AS first, max(position) AS last, count(*) AS events FROM es.%I', part.name) INTO held;
  IF (held.first, held.last, held.events) IS DISTINCT FROM
     (said.first_position, said.last_position, coalesce(said.events, 0)) THEN
    RAISE EXCEPTION 'the manifest is not of what the table holds' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF held.events > 0 THEN  -- positions that a restore passed over leave nothing behind
    IF held.last > (SELECT coalesce(max(last_position), 0) FROM block) THEN
      RAISE EXCEPTION 'not all of its events are sealed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF held.last > (SELECT min(position) FROM follower) THEN
      RAISE EXCEPTION 'a follower has not read all of its events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM dead_letter WHERE position <= held.last) THEN
      RAISE EXCEPTION 'there are dead letters among its events' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO archived_events (begins, ends, first_position, last_position, events, last_recorded_at, events_sha256,
      streams_sha256)
    VALUES (part.begins, part.ends, held.first, held.last, held.events, said.last_recorded_at,
      decode(p_manifest ->> 'events_sha256', 'hex'), decode(p_manifest ->> 'streams_sha256', 'hex'));
  END IF;
  EXECUTE format('ALTER TABLE es.event DETACH PARTITION es.%I', part.name);
  EXECUTE format('DROP TABLE es.%I', part.name);
  DELETE FROM event_partition WHERE begins = part.begins;
END $$;

-- An empty table for the newest archived partition; finish_event_restore puts it in its place.
CREATE FUNCTION es.begin_event_restore(p_first bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
BEGIN
  IF p_first IS DISTINCT FROM (SELECT max(first_position) FROM archived_events) THEN
    RAISE EXCEPTION 'not the newest archived events' USING ERRCODE = 'no_data_found';
  END IF;
  DROP TABLE IF EXISTS es.restoring_events;
  CREATE TABLE es.restoring_events (LIKE es.event INCLUDING DEFAULTS);
  GRANT INSERT, SELECT ON es.restoring_events TO tracker_projector;
  RETURN 'restoring_events';
END $$;

CREATE FUNCTION es.finish_event_restore(p_first bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  said archived_events;
  held record;
  passed record;
  name text;
BEGIN
  REVOKE ALL ON es.restoring_events FROM tracker_projector;
  SELECT * INTO said FROM archived_events WHERE first_position = p_first;
  name := 'event_' || CASE WHEN said.begins < 0 THEN 'first' ELSE said.begins::text END;
  SELECT min(position) AS first, max(position) AS last, count(*) AS events INTO held FROM restoring_events;
  IF (held.first, held.last, held.events) IS DISTINCT FROM (said.first_position, said.last_position, said.events) THEN
    RAISE EXCEPTION 'these are not the events that were archived' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  FOR passed IN SELECT * FROM event_partition p WHERE p.begins < said.ends AND p.ends > said.begins LOOP
    -- a database that was restored from a backup has it anew, and nothing in it
    EXECUTE format('ALTER TABLE es.event DETACH PARTITION es.%I', passed.name);
    EXECUTE format('DO $x$ BEGIN IF EXISTS (SELECT FROM es.%I) THEN RAISE EXCEPTION ''not empty''; END IF; END $x$', passed.name);
    EXECUTE format('DROP TABLE es.%I', passed.name);
    DELETE FROM event_partition p WHERE p.begins = passed.begins;
  END LOOP;
  EXECUTE format('ALTER TABLE es.restoring_events RENAME TO %I', name);
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I '
                 'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
  EXECUTE format('ALTER TABLE es.%I ENABLE ALWAYS TRIGGER append_only', name);
  EXECUTE format('ALTER TABLE es.event ATTACH PARTITION es.%I FOR VALUES FROM (%s) TO (%s)', name,
                 CASE WHEN said.begins < 0 THEN 'MINVALUE' ELSE said.begins::text END, said.ends);
  INSERT INTO event_partition VALUES (said.begins, said.ends, name);
  DELETE FROM archived_events WHERE first_position = p_first;
END $$;

GRANT SELECT ON es.archived_events TO tracker_app, tracker_projector;
REVOKE EXECUTE ON FUNCTION es.drop_events(bigint, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION es.begin_event_restore(bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION es.finish_event_restore(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.drop_events(bigint, jsonb) TO tracker_projector;
GRANT EXECUTE ON FUNCTION es.begin_event_restore(bigint) TO tracker_projector;
GRANT EXECUTE ON FUNCTION es.finish_event_restore(bigint) TO tracker_projector;
