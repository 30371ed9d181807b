DROP TABLE journal.unregistered_hash;
DROP TABLE read.announce_rules;
DROP TABLE read.announce_client_rule;
ALTER TABLE read.announce_torrent DROP COLUMN deleted_at;
ALTER TABLE read.announce_user DROP COLUMN download_slots;
ALTER TABLE read.announce_group DROP COLUMN download_slots;
ALTER TABLE read.user_group DROP COLUMN download_slots;
