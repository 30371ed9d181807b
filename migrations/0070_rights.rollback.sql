DROP TABLE read.credit_membership;
ALTER TABLE read.credit_member DROP COLUMN double_upload, DROP COLUMN freeleech;
DROP TABLE read.announce_membership;
ALTER TABLE read.announce_user DROP COLUMN seed_exception, DROP COLUMN leech_exception;
DROP TABLE read.class_lock;
DROP TABLE read.secondary_membership;
DROP TABLE read.permission_exception;
ALTER TABLE read.user_group DROP COLUMN secondary, DROP COLUMN monthly_invites;
