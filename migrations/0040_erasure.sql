-- Persons who are forgotten: how far that is, and what is left of them beside the log.

-- Every process asks once in a while which keys were destroyed lately.
CREATE INDEX subject_destroyed ON keys.subject (destroyed_at) WHERE destroyed_at IS NOT NULL;
-- What a destroyed key left in its page goes with the next look of autovacuum, however few rows changed.
ALTER TABLE keys.subject SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

-- Everything about a person that lies in schema es and credentials in clear, or opens something: what a table of schema
-- credentials has in a column `user_id` is about that user. Tables of later migrations are found too.
CREATE FUNCTION es.forget_person(p_person uuid) RETURNS void
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
  DELETE FROM es.command_context x USING es.command k WHERE k.command_id = x.command_id AND k.actor_id = p_person;
  -- A traceback may quote what could not be handled.
  UPDATE es.dead_letter l SET error = 'erased' FROM es.event e
  WHERE l.error IS NOT NULL AND e.position = l.position
    AND (p_person IN (e.stream_id, e.actor_id) OR position(about IN e.data) > 0);
  UPDATE es.follower f SET error = 'erased' FROM es.event e
  WHERE f.error IS NOT NULL AND e.position = f.failed_position
    AND (p_person IN (e.stream_id, e.actor_id) OR position(about IN e.data) > 0);
  UPDATE es.rebuild SET error = 'erased' WHERE error IS NOT NULL AND state = 'failed';
END $$;
REVOKE EXECUTE ON FUNCTION es.forget_person(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.forget_person(uuid) TO tracker_app;

SET ROLE tracker_projector;

CREATE TABLE read.erasure (
  user_id uuid PRIMARY KEY,
  proposal_id uuid,  -- null: the person asked
  begun_at timestamptz NOT NULL,
  completed_at timestamptz,
  completed_position bigint
);
CREATE INDEX erasure_due ON read.erasure (begun_at) WHERE completed_at IS NULL;
CREATE INDEX erasure_completed ON read.erasure (completed_position);

CREATE TABLE read.erasure_proposal (
  proposal_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  proposer_id uuid NOT NULL,
  reason text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
  made_at timestamptz NOT NULL,
  until timestamptz NOT NULL,
  answered_by uuid,
  answered_at timestamptz,
  answer text,
  version int NOT NULL
);
CREATE INDEX erasure_proposal_user ON read.erasure_proposal (user_id);

RESET ROLE;
