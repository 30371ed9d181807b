-- By which command a session began: who wants to know from where need not look for its event, which may lie in a file.
ALTER TABLE credentials.session ADD COLUMN command_id uuid;
UPDATE credentials.session s SET command_id = e.command_id
FROM es.event e WHERE e.stream_id = s.session_id AND e.version = 1;
