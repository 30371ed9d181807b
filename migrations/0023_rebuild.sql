-- Rebuilds and verifications: how far the last one of each projection is, and the tables that it took the place of.

CREATE TABLE es.rebuild (
  name text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('rebuild', 'verify')),
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'done', 'failed', 'cancelled')),
  wanted text NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'cancel')),
  position bigint NOT NULL DEFAULT 0,
  target bigint NOT NULL DEFAULT 0,
  facts bigint NOT NULL DEFAULT 0,
  rate float8 NOT NULL DEFAULT 0,  -- facts a second
  position_rate float8 NOT NULL DEFAULT 0,  -- positions a second: a projection reads some of the facts only
  throttled boolean NOT NULL DEFAULT false,
  differences bigint,
  error text,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
) WITH (fillfactor = 50);

-- The tables of before a rebuild lie in the schema standby_NAME; they are as of this position.
CREATE TABLE es.standby (
  name text PRIMARY KEY,
  position bigint NOT NULL,
  letters jsonb NOT NULL DEFAULT '[]',  -- rows of es.dead_letter: facts that these tables are without
  made_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON es.rebuild, es.standby TO tracker_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.rebuild, es.standby TO tracker_projector;
