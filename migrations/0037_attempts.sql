-- What workers were doing when they died: a fact whose handler kills its process each time leaves nothing else.
-- Written outside of the transaction that it is about, and removed by it.

CREATE TABLE es.attempt (
  follower text PRIMARY KEY,
  after bigint NOT NULL,  -- where the follower stood
  upto bigint NOT NULL,  -- and how far the facts at hand went
  alone boolean NOT NULL,  -- one fact, and no other follower under suspicion at the same time
  process uuid NOT NULL,
  server timestamptz NOT NULL,  -- when the server began: what ended with it was not ended by a fact
  program text NOT NULL  -- other code is given another try
);
GRANT SELECT ON es.attempt TO tracker_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.attempt TO tracker_projector;
