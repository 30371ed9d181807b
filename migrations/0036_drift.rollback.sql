DROP TABLE es.drift;
