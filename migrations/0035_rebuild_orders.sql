-- Rebuilds and verifications that somebody asks for and workers carry out, and that go on where they were when their
-- process or the server died.

ALTER TABLE es.rebuild
  ADD COLUMN ordered boolean NOT NULL DEFAULT false,  -- workers carry it out, and go on with it when it is interrupted
  ADD COLUMN made bigint NOT NULL DEFAULT 0,  -- position of what is in the copies, committed together with it
  ADD COLUMN program text,  -- which code fills the copies, and of which shape they are
  ADD COLUMN begun int NOT NULL DEFAULT 0,  -- how often it was begun or gone on with since `made` last moved
  ADD COLUMN resumed int NOT NULL DEFAULT 0,  -- how often it was gone on with
  ADD COLUMN schema_name text,  -- of tables of the past, which have a schema of their own
  ADD COLUMN upto bigint,  -- as of which position they are
  ADD COLUMN found jsonb NOT NULL DEFAULT '[]';  -- which rows a verification found to differ, without their values

ALTER TABLE es.rebuild DROP CONSTRAINT rebuild_kind_check, DROP CONSTRAINT rebuild_state_check;
ALTER TABLE es.rebuild
  ADD CONSTRAINT rebuild_kind_check CHECK (kind IN ('rebuild', 'verify', 'past')),
  ADD CONSTRAINT rebuild_state_check
    CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled'));

-- Who asks writes down what is asked for, in the transaction of the command.
GRANT INSERT, UPDATE ON es.rebuild TO tracker_app;
