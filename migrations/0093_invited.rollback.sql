ALTER TABLE read.user_statistics DROP COLUMN invited;
ALTER TABLE read.statistics_history DROP COLUMN invited;
