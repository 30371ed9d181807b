-- What the last nightly check of each projection found: a part of its rows, worked out again and compared.

CREATE TABLE es.drift (
  name text PRIMARY KEY,
  part smallint,  -- of es.event.part: the streams whose rows were compared; null: all of them
  rows bigint NOT NULL,
  differences bigint,  -- null: they could not be worked out, see `error`
  error text,
  checked_at timestamptz NOT NULL
);
GRANT SELECT ON es.drift TO tracker_app;
GRANT SELECT, INSERT, UPDATE ON es.drift TO tracker_projector;
