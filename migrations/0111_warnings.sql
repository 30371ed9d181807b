-- Warnings as they are shown, and as promotion asks for them in place of decided cases.
SET ROLE tracker_projector;

CREATE TABLE read.warning (
  warning_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  state text NOT NULL CHECK (state IN ('active', 'lifted', 'expired')),
  reason text NOT NULL,
  case_id uuid,  -- null for one given by hand
  given_by uuid NOT NULL,
  given_at timestamptz NOT NULL,
  until timestamptz NOT NULL,
  lift_reason text,
  ended_by uuid,
  ended_at timestamptz
);
CREATE INDEX warning_user ON read.warning (user_id, warning_id);
CREATE INDEX warning_active ON read.warning (user_id, until) WHERE state = 'active';
CREATE INDEX warning_due ON read.warning (until) WHERE state = 'active';

DROP INDEX read.moderation_case_warned;

RESET ROLE;
