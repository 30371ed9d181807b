-- Invites: the codes that open the door, how many members have, whom they invited.

CREATE TABLE credentials.invite_code (
  invite_id uuid PRIMARY KEY,
  code_sha bytea NOT NULL UNIQUE,
  issued_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.invite_code TO tracker_app;

SET ROLE tracker_projector;

CREATE TABLE read.invite (
  invite_id uuid PRIMARY KEY,
  inviter_id uuid,  -- null: an application that was approved
  invitee_id uuid NOT NULL,  -- the account, once the invite is accepted
  email text NOT NULL,
  note text NOT NULL,
  charged boolean NOT NULL,
  state text NOT NULL CHECK (state IN ('sent', 'accepted', 'revoked', 'expired')),
  sent_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  version int NOT NULL
);
CREATE INDEX invite_inviter ON read.invite (inviter_id, invite_id);
CREATE INDEX invite_invitee ON read.invite (invitee_id);
CREATE INDEX invite_due ON read.invite (expires_at) WHERE state = 'sent';

CREATE TABLE read.invite_allowance (
  user_id uuid PRIMARY KEY,
  balance bigint NOT NULL,
  month text NOT NULL  -- the last for which the group's invites are in the balance
);

RESET ROLE;
