-- Tables of one projection change places, with as little as possible under the locks that readers wait for: two names
-- each, and no round trip between. Waiting for the locks, others stand behind us, so that is given up after a while.
CREATE FUNCTION es.take_places(p_tables text[], p_follower text, p_wait_ms int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := clock_timestamp() + p_wait_ms * interval '1 ms';
  name text;
BEGIN
  FOREACH name IN ARRAY p_tables LOOP
    PERFORM set_config(
      'lock_timeout', greatest(1, ceil(extract(epoch FROM until - clock_timestamp()) * 1000))::text, true
    );
    EXECUTE format('LOCK TABLE read.%I IN ACCESS EXCLUSIVE MODE', name);
  END LOOP;
  FOREACH name IN ARRAY p_tables LOOP
    EXECUTE format('ALTER TABLE read.%I RENAME TO %I', name, name || '-' || p_follower);
    EXECUTE format('ALTER TABLE read.%I RENAME TO %I', name || '~', name);
  END LOOP;
  RETURN true;
EXCEPTION WHEN lock_not_available THEN
  RETURN false;
END $$;
REVOKE EXECUTE ON FUNCTION es.take_places(text[], text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.take_places(text[], text, int) TO tracker_projector;
