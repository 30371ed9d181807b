-- Accounts that their owners have parked, and requests to open disabled ones again.
SET ROLE tracker_projector;

CREATE TABLE read.parked_account (
  user_id uuid PRIMARY KEY,
  parked_at timestamptz NOT NULL
);

CREATE TABLE read.reenable_request (
  user_id uuid PRIMARY KEY,
  text text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'approved', 'rejected')),
  filed_at timestamptz NOT NULL,
  reason text,
  answered_at timestamptz,
  answered_by uuid
);
CREATE INDEX reenable_request_filed ON read.reenable_request (state, filed_at, user_id);

ALTER TABLE read.announce_user ADD COLUMN parked boolean NOT NULL DEFAULT false;

RESET ROLE;
