DROP INDEX es.event_long;
DROP TABLE es.snapshot;
