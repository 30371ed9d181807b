REVOKE SELECT ON keys.subject FROM tracker_backup;
REVOKE USAGE ON SCHEMA keys FROM tracker_backup;
DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM tracker_backup', current_database()); END $$;
