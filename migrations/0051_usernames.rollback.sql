DROP TABLE read.banned_name, read.former_username;
