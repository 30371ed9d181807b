ALTER TABLE read.api_key DROP COLUMN expires_at;
ALTER TABLE credentials.api_key DROP COLUMN expires_at;
