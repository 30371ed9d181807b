DROP TABLE read.relation;
