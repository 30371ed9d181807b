-- Tokens in mails, each for one purpose; password resets that were asked for; addresses that users had before.

ALTER TABLE credentials.email_token
  ADD COLUMN purpose text NOT NULL DEFAULT 'verify',
  ADD COLUMN subject_id uuid,  -- what the token is about, beside its user
  ADD COLUMN issued_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX email_token_user ON credentials.email_token (user_id);

-- An address that somebody says to have forgotten a password for. Whoever asks gets the same answer in the same time,
-- because nobody looks at it before a worker does.
CREATE TABLE credentials.reset_request (
  request_id uuid PRIMARY KEY,
  sealed bytea NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.reset_request TO tracker_app;

SET ROLE tracker_projector;

CREATE TABLE read.email_change (
  change_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  email text NOT NULL,
  former_email text NOT NULL,
  state text NOT NULL CHECK (state IN ('asked', 'cancelled', 'confirmed', 'undone', 'settled')),
  asked_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  ended_at timestamptz
);
CREATE INDEX email_change_user ON read.email_change (user_id, change_id);
CREATE INDEX email_change_due ON read.email_change (confirmed_at) WHERE state = 'confirmed';

RESET ROLE;
