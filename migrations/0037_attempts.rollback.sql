DROP TABLE es.attempt;
