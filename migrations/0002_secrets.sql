-- What must never be in an event: the keys of personal data, and what proves an identity.

CREATE SCHEMA keys;
GRANT USAGE ON SCHEMA keys TO tracker_app, tracker_projector;
-- One data key per person, wrapped by the site's key encryption key. Destroying it erases the person's data everywhere.
CREATE TABLE keys.subject (
  subject_id uuid PRIMARY KEY,
  wrapped_key bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  destroyed_at timestamptz,
  CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
);
GRANT SELECT, INSERT ON keys.subject TO tracker_app, tracker_projector;
GRANT UPDATE (wrapped_key, destroyed_at) ON keys.subject TO tracker_app;

CREATE SCHEMA credentials;
GRANT USAGE ON SCHEMA credentials TO tracker_app;
CREATE TABLE credentials.password (
  user_id uuid PRIMARY KEY,
  hash text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE credentials.totp (
  user_id uuid PRIMARY KEY,
  sealed_seed bytea NOT NULL,
  confirmed_at timestamptz,
  last_step bigint NOT NULL DEFAULT 0  -- a code is good once per time step (RFC 6238 section 5.2)
);
CREATE TABLE credentials.recovery_code (
  user_id uuid NOT NULL,
  code_sha bytea NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (user_id, code_sha)
);
-- One row per rotation. A token that was rotated away is honoured for a short grace with the SAME successor, after
-- that its use revokes the whole session (RFC 9700 section 4.14.2).
CREATE TABLE credentials.session (
  session_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX ON credentials.session (user_id);
CREATE TABLE credentials.refresh_token (
  token_sha bytea PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES credentials.session ON DELETE CASCADE,
  issued_at timestamptz NOT NULL DEFAULT now(),
  rotated_at timestamptz,
  sealed_successor bytea
);
CREATE TABLE credentials.email_token (
  token_sha bytea PRIMARY KEY,
  user_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA credentials TO tracker_app;
