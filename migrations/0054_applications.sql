-- What strangers wrote to be let in.
SET ROLE tracker_projector;

CREATE TABLE read.application (
  application_id uuid PRIMARY KEY,
  applicant_id uuid NOT NULL,  -- the account, once there is one
  email text NOT NULL,
  text text NOT NULL,
  links text[] NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'approved', 'rejected')),
  filed_at timestamptz NOT NULL,
  answered_by uuid,
  answered_at timestamptz,
  reason text,
  invite_id uuid,
  version int NOT NULL
);
CREATE INDEX application_state ON read.application (state, application_id);
CREATE INDEX application_applicant ON read.application (applicant_id);

RESET ROLE;
