DROP FUNCTION es.end_hanging_runner(text, interval);
DROP FUNCTION es.runner_view(text);
DROP FUNCTION es.parked_streams(text);
ALTER TABLE es.event_type DROP COLUMN ignored;
DROP TABLE es.dead_letter;
DROP TABLE es.follower_setting;
UPDATE es.follower SET state = 'halted' WHERE state = 'waiting';
ALTER TABLE es.follower DROP CONSTRAINT follower_state_check;
ALTER TABLE es.follower ADD CONSTRAINT follower_state_check CHECK (state IN ('running', 'halted'));
