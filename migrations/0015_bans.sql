-- Bans as they are shown and checked, and what the announce edge needs to know of them.
SET ROLE tracker_projector;

CREATE TABLE read.ban (
  ban_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  kind text NOT NULL,
  takes text[] NOT NULL,  -- permissions
  state text NOT NULL CHECK (state IN ('active', 'lifted', 'expired')),
  reason text NOT NULL,
  imposed_by uuid NOT NULL,
  imposed_at timestamptz NOT NULL,
  until timestamptz,
  lift_reason text,
  ended_by uuid,
  ended_at timestamptz,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX ban_user ON read.ban (user_id, ban_id);
CREATE INDEX ban_active ON read.ban (user_id) WHERE state = 'active';
CREATE INDEX ban_due ON read.ban (until) WHERE state = 'active';

-- Beside `active` and `group_slug`, what `enabled` and `can_leech` are worked out from.
ALTER TABLE read.announce_user
  ADD COLUMN account_banned boolean NOT NULL DEFAULT false,
  ADD COLUMN download_banned boolean NOT NULL DEFAULT false;

RESET ROLE;
