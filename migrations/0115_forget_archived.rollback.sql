CREATE OR REPLACE FUNCTION es.forget_person(p_person uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
  name text;
  about CONSTANT bytea := convert_to(p_person::text, 'UTF8');
BEGIN
  FOR name IN SELECT format('%I.%I', c.table_schema, c.table_name) FROM information_schema.columns c
              WHERE c.table_schema = 'credentials' AND c.column_name = 'user_id' AND c.udt_name = 'uuid'
  LOOP
    EXECUTE format('DELETE FROM %s WHERE user_id = $1', name) USING p_person;
  END LOOP;
  DELETE FROM es.command_context
  WHERE command_id = ANY (ARRAY(SELECT command_id FROM read.audit_entry WHERE actor_id = p_person));
  -- A traceback may quote what could not be handled.
  UPDATE es.dead_letter l SET error = 'erased' FROM es.event e
  WHERE l.error IS NOT NULL AND e.position = l.position
    AND (p_person IN (e.stream_id, e.actor_id) OR position(about IN e.data) > 0);
  UPDATE es.follower f SET error = 'erased' FROM es.event e
  WHERE f.error IS NOT NULL AND e.position = f.failed_position
    AND (p_person IN (e.stream_id, e.actor_id) OR position(about IN e.data) > 0);
  UPDATE es.rebuild SET error = 'erased' WHERE error IS NOT NULL AND state = 'failed';
END $$;
