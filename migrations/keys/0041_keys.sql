-- The data keys of persons in a database of their own, which is backed up for a short time only: whoever brings the log
-- back from years ago brings nobody's key back. The same table as in 0002 and 0040 of the site's database.
DO $$
BEGIN
  CREATE ROLE tracker_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT tracker_app TO CURRENT_USER;
DO $$
BEGIN
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO tracker_app', current_database());
END $$;

CREATE SCHEMA keys;
GRANT USAGE ON SCHEMA keys TO tracker_app;
CREATE TABLE keys.subject (
  subject_id uuid PRIMARY KEY,
  wrapped_key bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  destroyed_at timestamptz,
  CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX subject_destroyed ON keys.subject (destroyed_at) WHERE destroyed_at IS NOT NULL;
GRANT SELECT, INSERT ON keys.subject TO tracker_app;
GRANT UPDATE (wrapped_key, destroyed_at) ON keys.subject TO tracker_app;
