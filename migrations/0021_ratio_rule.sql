-- Which ratio users have to keep, and who may only seed because of it.
SET ROLE tracker_projector;

-- The defaults are what events of before say: no rule.
ALTER TABLE read.announce_rules
  ADD COLUMN required_ratio_percent int NOT NULL DEFAULT 0,
  ADD COLUMN ratio_counts_from_bytes bigint NOT NULL DEFAULT 5368709120;

-- Beside the bans, what `can_leech` is worked out from.
ALTER TABLE read.announce_user ADD COLUMN leeching_suspended boolean NOT NULL DEFAULT false;

ALTER TABLE read.account ADD COLUMN leeching_suspended text;  -- why; null while it is not
CREATE INDEX account_suspended ON read.account (user_id) WHERE leeching_suspended IS NOT NULL;

RESET ROLE;
