DROP TABLE read.profile;
