-- Snapshots of long aggregates: derived from the log, so that they may go at any time.
CREATE TABLE es.snapshot (
  stream_id uuid NOT NULL,
  version int NOT NULL,
  topic text NOT NULL,  -- the aggregate's, and a fingerprint of the code that this state is of
  data bytea NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream_id, version)
);
GRANT SELECT, INSERT, DELETE ON es.snapshot TO tracker_app;
GRANT SELECT ON es.snapshot TO tracker_projector;
-- Every 200th event of a stream is where a snapshot is due: an index of the long streams only.
CREATE INDEX event_long ON es.event (stream_id, version) WHERE version % 200 = 0;
