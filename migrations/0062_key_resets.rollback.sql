DROP TABLE read.key_reset;
DELETE FROM es.follower WHERE name = 'key_resets';
