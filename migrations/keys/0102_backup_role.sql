-- Who makes backups reads the keys of persons and changes none; as 0102 of the site's database.
DO $$
BEGIN
  CREATE ROLE tracker_backup LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT tracker_backup TO CURRENT_USER;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO tracker_backup', current_database()); END $$;
GRANT USAGE ON SCHEMA keys TO tracker_backup;
GRANT SELECT ON keys.subject TO tracker_backup;
