ALTER TABLE credentials.session DROP COLUMN last_used_at;
DROP TABLE credentials.notice, credentials.known_device, credentials.guess;
