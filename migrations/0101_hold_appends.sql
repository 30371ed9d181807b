-- Nobody has drawn a position and not committed, and nobody draws one before this transaction ends; returns the last one
-- that was drawn. Whoever calls nextval() holds the sequence until its transaction ends, and ALTER SEQUENCE waits for
-- that (LOCK TABLE takes no sequence); what it sets is what is set already. A lock on es.event would come too late for
-- it: since 0100 positions are drawn before the insert.
CREATE FUNCTION es.hold_appends() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
BEGIN
  ALTER SEQUENCE es.position CACHE 1;
  RETURN coalesce(pg_sequence_last_value('es.position'), 0);
END $$;
REVOKE EXECUTE ON FUNCTION es.hold_appends() FROM PUBLIC;
