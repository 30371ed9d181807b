DROP TABLE read.privacy;
