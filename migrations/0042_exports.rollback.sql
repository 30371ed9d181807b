DROP TABLE read.export, credentials.export;
