ALTER TABLE credentials.session DROP COLUMN command_id;
