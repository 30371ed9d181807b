-- How many people came by a user's invites. Of invites that were taken before this, a rebuild of user_statistics knows.
SET ROLE tracker_projector;

ALTER TABLE read.user_statistics ADD COLUMN invited bigint NOT NULL DEFAULT 0;
ALTER TABLE read.statistics_history ADD COLUMN invited bigint NOT NULL DEFAULT 0;

RESET ROLE;
