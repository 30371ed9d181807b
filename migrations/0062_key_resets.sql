-- Resets of the keys that travel in URLs. A user without a row has the first key of that kind.
SET ROLE tracker_projector;

CREATE TABLE read.key_reset (
  user_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('passkey', 'rss_key')),
  key_no int NOT NULL,
  reset_at timestamptz NOT NULL,
  reset_by uuid NOT NULL,
  PRIMARY KEY (user_id, kind, key_no)
);

RESET ROLE;
