DROP TABLE es.standby;
DROP TABLE es.rebuild;
