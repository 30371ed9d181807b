DROP TABLE read.warning;
CREATE INDEX moderation_case_warned ON read.moderation_case (concerned_id, decided_at) WHERE outcome = 'warned';
