REVOKE EXECUTE ON FUNCTION es.hold_appends() FROM tracker_backup;
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON %s FROM tracker_backup', to_regclass('_yoyo_migration'));
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM tracker_query, tracker_audit, tracker_backup', current_database());
END $$;
ALTER DEFAULT PRIVILEGES IN SCHEMA journal REVOKE SELECT ON TABLES FROM tracker_audit;
ALTER DEFAULT PRIVILEGES IN SCHEMA es, journal, credentials, keys REVOKE SELECT ON TABLES FROM tracker_backup;
SET ROLE tracker_projector;
ALTER DEFAULT PRIVILEGES FOR ROLE tracker_projector IN SCHEMA read
  REVOKE SELECT ON TABLES FROM tracker_query, tracker_backup;
REVOKE ALL ON ALL TABLES IN SCHEMA read FROM tracker_query, tracker_backup;
REVOKE ALL ON SCHEMA read FROM tracker_query, tracker_backup;
RESET ROLE;
REVOKE ALL ON ALL TABLES IN SCHEMA es, journal, credentials, keys FROM tracker_query, tracker_audit, tracker_backup;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA es FROM tracker_query, tracker_audit, tracker_backup;
REVOKE ALL ON SCHEMA es, journal, credentials, keys FROM tracker_query, tracker_audit, tracker_backup;
