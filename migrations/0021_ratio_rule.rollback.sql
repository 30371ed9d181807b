ALTER TABLE read.account DROP COLUMN leeching_suspended;
ALTER TABLE read.announce_user DROP COLUMN leeching_suspended;
ALTER TABLE read.announce_rules DROP COLUMN required_ratio_percent, DROP COLUMN ratio_counts_from_bytes;
