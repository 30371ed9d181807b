DROP TABLE read.last_sign_in;
DELETE FROM es.follower WHERE name = 'inactivity';
