-- When accounts were last signed in to: sessions are forgotten sooner than accounts are given up.
SET ROLE tracker_projector;

CREATE TABLE read.last_sign_in (
  user_id uuid PRIMARY KEY,
  at timestamptz NOT NULL
) WITH (fillfactor = 80);

RESET ROLE;
