ALTER TABLE read.announce_user DROP COLUMN parked;
DROP TABLE read.reenable_request, read.parked_account;
DELETE FROM es.follower WHERE name IN ('parking', 'reenable_requests');
