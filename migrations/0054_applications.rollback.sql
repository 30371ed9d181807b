DROP TABLE read.application;
