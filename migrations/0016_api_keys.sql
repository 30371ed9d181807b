-- Keys by which programs act in a user's name: their hashes, and how they are listed.

-- A revoked key has no row: what opened something once is not kept.
CREATE TABLE credentials.api_key (
  key_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  key_sha bytea NOT NULL UNIQUE,
  scopes text[] NOT NULL,
  issued_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX ON credentials.api_key (user_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.api_key TO tracker_app;

SET ROLE tracker_projector;

CREATE TABLE read.api_key (
  key_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  name text NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  revoke_reason text
);
CREATE INDEX api_key_user ON read.api_key (user_id, key_id);

RESET ROLE;
