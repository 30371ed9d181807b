DROP FUNCTION journal.finish_restore(date);
DROP FUNCTION journal.begin_restore(date);
DROP FUNCTION journal.drop_day(date, int, jsonb);
DROP TABLE journal.archived_day;
