DROP TABLE read.ban;
ALTER TABLE read.announce_user DROP COLUMN account_banned, DROP COLUMN download_banned;
