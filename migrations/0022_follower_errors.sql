-- What followers do about facts that they cannot handle, and what operators tell them.

-- waiting: the next fact is of a type, or of a version of one, that the running code does not know yet.
ALTER TABLE es.follower DROP CONSTRAINT follower_state_check;
ALTER TABLE es.follower ADD CONSTRAINT follower_state_check CHECK (state IN ('running', 'halted', 'waiting'));

-- Beside es.follower, whose rows are locked by their runners: who pauses a follower need not wait for a batch to end.
CREATE TABLE es.follower_setting (
  name text PRIMARY KEY,
  paused_at timestamptz,
  on_error text CHECK (on_error IN ('halt', 'park', 'skip'))  -- null: as the code declares it
);

-- Facts that a follower has passed without handling them. `parked`: so are all later ones of the stream, in order.
CREATE TABLE es.dead_letter (
  follower text NOT NULL,
  position bigint NOT NULL,
  stream_id uuid NOT NULL,
  parked boolean NOT NULL,
  error text,  -- null: it only waits behind one that failed
  attempts int NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (follower, position)
);
CREATE INDEX dead_letter_stream ON es.dead_letter (follower, stream_id, position);

-- Types that no follower of this site waits for: of code that was taken back.
ALTER TABLE es.event_type ADD COLUMN ignored boolean NOT NULL DEFAULT false;

-- One step on the index for each stream, however many facts wait in it.
CREATE FUNCTION es.parked_streams(p_follower text) RETURNS uuid[] LANGUAGE sql STABLE AS $$
  WITH RECURSIVE parked AS (
    (SELECT stream_id FROM es.dead_letter WHERE follower = p_follower AND parked ORDER BY stream_id LIMIT 1)
    UNION ALL
    SELECT (SELECT l.stream_id FROM es.dead_letter l
            WHERE l.follower = p_follower AND l.parked AND l.stream_id > parked.stream_id
            ORDER BY l.stream_id LIMIT 1)
    FROM parked WHERE parked.stream_id IS NOT NULL)
  SELECT coalesce(array_agg(stream_id) FILTER (WHERE stream_id IS NOT NULL), '{}') FROM parked
$$;

-- What a runner has to know once it holds its follower's row. Volatile, so that each statement sees what was committed
-- before it: the types of all facts up to `safe` are among those counted. Signs the transaction, see below.
CREATE FUNCTION es.runner_view(
  p_follower text, OUT safe bigint, OUT parked uuid[], OUT paused boolean, OUT types bigint, OUT ignored bigint
) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('application_name', left('follow ' || p_follower, 63), true);
  safe := es.safe_position();
  SELECT count(*), count(*) FILTER (WHERE t.ignored) INTO types, ignored FROM es.event_type t;
  SELECT es.parked_streams(p_follower) INTO parked;
  SELECT EXISTS (SELECT FROM es.follower_setting s WHERE s.name = p_follower AND s.paused_at IS NOT NULL) INTO paused;
END $$;

-- A session that has waited so long for its runner, for a statement or to be read from, is held by a process that is
-- stopped or by a machine that is gone. Without the session that runner can commit nothing.
CREATE FUNCTION es.end_hanging_runner(p_follower text, p_after interval) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*)::int FROM (
    SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = left('follow ' || p_follower, 63)
      AND wait_event_type = 'Client' AND state_change < clock_timestamp() - p_after) AS hanging
  WHERE ended
$$;

GRANT SELECT ON es.follower_setting, es.dead_letter TO tracker_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.follower_setting, es.dead_letter TO tracker_projector;
GRANT UPDATE (ignored) ON es.event_type TO tracker_projector;
REVOKE EXECUTE ON FUNCTION es.end_hanging_runner(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.end_hanging_runner(text, interval) TO tracker_projector;
