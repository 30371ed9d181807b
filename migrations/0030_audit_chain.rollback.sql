DROP TABLE es.redaction;
DROP TABLE es.block;
