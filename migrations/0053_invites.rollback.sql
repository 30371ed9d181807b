DROP TABLE credentials.invite_code, read.invite, read.invite_allowance;
