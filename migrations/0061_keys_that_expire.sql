-- API keys may expire.
ALTER TABLE credentials.api_key ADD COLUMN expires_at timestamptz;

SET ROLE tracker_projector;
ALTER TABLE read.api_key ADD COLUMN expires_at timestamptz;
RESET ROLE;
