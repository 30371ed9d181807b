DROP TABLE credentials.reset_request, read.email_change;
DELETE FROM credentials.email_token WHERE purpose <> 'verify';
DROP INDEX credentials.email_token_user;
ALTER TABLE credentials.email_token DROP COLUMN purpose, DROP COLUMN subject_id, DROP COLUMN issued_at;
