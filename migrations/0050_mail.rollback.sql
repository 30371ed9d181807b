DROP TABLE credentials.mail, credentials.mail_delivered;
