DROP TABLE read.api_key;
DROP TABLE credentials.api_key;
