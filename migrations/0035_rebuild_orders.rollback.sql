REVOKE INSERT, UPDATE ON es.rebuild FROM tracker_app;
DELETE FROM es.rebuild WHERE kind = 'past' OR state = 'queued';
ALTER TABLE es.rebuild DROP CONSTRAINT rebuild_kind_check, DROP CONSTRAINT rebuild_state_check;
ALTER TABLE es.rebuild
  ADD CONSTRAINT rebuild_kind_check CHECK (kind IN ('rebuild', 'verify')),
  ADD CONSTRAINT rebuild_state_check CHECK (state IN ('running', 'paused', 'done', 'failed', 'cancelled'));
ALTER TABLE es.rebuild
  DROP COLUMN ordered, DROP COLUMN made, DROP COLUMN program, DROP COLUMN begun, DROP COLUMN resumed,
  DROP COLUMN schema_name, DROP COLUMN upto, DROP COLUMN found;
