DROP TABLE credentials.mail_bound;
