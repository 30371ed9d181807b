DROP FUNCTION es.finish_event_restore(bigint);
DROP FUNCTION es.begin_event_restore(bigint);
DROP FUNCTION es.drop_events(bigint, jsonb);
DROP TABLE es.archived_events;
