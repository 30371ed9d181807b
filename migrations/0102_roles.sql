-- Three more roles, each for what its processes do and nothing else. With the owner, who migrates, tracker_app, which
-- appends, and tracker_projector there are six; tests/runtime/test_roles.py says what each of them may.
--   tracker_query   what callers are shown: read tables and the log, nothing that proves an identity, no key, no address
--   tracker_audit   evidence and exports: the log, the journals and what was sealed, nothing else
--   tracker_backup  copies: reads whatever a backup has, writes nothing
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['tracker_query', 'tracker_audit', 'tracker_backup'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I LOGIN', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    EXECUTE format('GRANT %I TO CURRENT_USER', name);
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
    EXECUTE format('GRANT USAGE ON SCHEMA es, journal TO %I', name);
  END LOOP;
END $$;

SET ROLE tracker_projector;
GRANT USAGE ON SCHEMA read TO tracker_query, tracker_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO tracker_query, tracker_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE tracker_projector IN SCHEMA read
  GRANT SELECT ON TABLES TO tracker_query, tracker_backup;
RESET ROLE;
GRANT SELECT ON es.event, es.event_type, es.event_partition, es.stream, es.archived_events, es.blob, es.block,
  es.redaction, es.position, es.follower, es.follower_setting, es.dead_letter, es.attempt, es.rebuild, es.standby,
  es.drift, es.search_index TO tracker_query;
GRANT SELECT ON journal.unregistered_hash TO tracker_query;

GRANT SELECT ON es.event, es.event_type, es.event_partition, es.stream, es.archived_events, es.block, es.redaction,
  es.position TO tracker_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA journal TO tracker_audit;  -- whatever the chains of edges are checked with
REVOKE SELECT ON journal.unregistered_hash FROM tracker_audit;
ALTER DEFAULT PRIVILEGES IN SCHEMA journal GRANT SELECT ON TABLES TO tracker_audit;

GRANT USAGE ON SCHEMA credentials, keys TO tracker_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA es, journal, credentials, keys TO tracker_backup;
GRANT SELECT ON es.position TO tracker_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA es, journal, credentials, keys GRANT SELECT ON TABLES TO tracker_backup;
DO $$ BEGIN EXECUTE format('GRANT SELECT ON %s TO tracker_backup', to_regclass('_yoyo_migration')); END $$;

GRANT EXECUTE ON FUNCTION es.hold_appends() TO tracker_backup;
