-- What users may do and may not beside what their groups say, and groups that are given beside another.
SET ROLE tracker_projector;

ALTER TABLE read.user_group
  ADD COLUMN secondary boolean NOT NULL DEFAULT false,
  ADD COLUMN monthly_invites int NOT NULL DEFAULT 0;

-- A permission that is granted (or denied) to a user whatever its groups say. The reason is the staff's.
CREATE TABLE read.permission_exception (
  user_id uuid NOT NULL,
  permission text NOT NULL,
  granted boolean NOT NULL,
  reason text NOT NULL,
  until timestamptz,  -- null for good
  given_by uuid NOT NULL,
  given_at timestamptz NOT NULL,
  changed_pos bigint NOT NULL,
  PRIMARY KEY (user_id, permission)
);
CREATE INDEX permission_exception_due ON read.permission_exception (until) WHERE until IS NOT NULL;

CREATE TABLE read.secondary_membership (
  user_id uuid NOT NULL,
  group_slug text NOT NULL,
  reason text NOT NULL,
  until timestamptz,  -- null for good
  given_by uuid NOT NULL,
  given_at timestamptz NOT NULL,
  changed_pos bigint NOT NULL,
  PRIMARY KEY (user_id, group_slug)
);
CREATE INDEX secondary_membership_due ON read.secondary_membership (until) WHERE until IS NOT NULL;

CREATE TABLE read.class_lock (
  user_id uuid PRIMARY KEY,
  reason text NOT NULL,
  locked_by uuid NOT NULL,
  locked_at timestamptz NOT NULL,
  changed_pos bigint NOT NULL
);

-- Beside the group, what `enabled` and `can_leech` are worked out from; null where the groups decide.
ALTER TABLE read.announce_user
  ADD COLUMN seed_exception boolean,
  ADD COLUMN leech_exception boolean;
CREATE TABLE read.announce_membership (
  user_id uuid NOT NULL,
  group_slug text NOT NULL,
  PRIMARY KEY (user_id, group_slug)
);
CREATE INDEX announce_membership_group ON read.announce_membership (group_slug);

-- The same for what counts otherwise than in full.
ALTER TABLE read.credit_member
  ADD COLUMN double_upload boolean,
  ADD COLUMN freeleech boolean;
CREATE TABLE read.credit_membership (
  user_id uuid NOT NULL,
  group_id uuid NOT NULL,
  PRIMARY KEY (user_id, group_id)
);
CREATE INDEX credit_membership_group ON read.credit_membership (group_id);

RESET ROLE;
