DROP INDEX read.transfer_anomaly, read.transfer_anomaly_user;
DROP TABLE read.torrent_history, read.site_history, read.site_swarm, read.user_history;
ALTER TABLE read.peer SET (fillfactor = 80);
ALTER TABLE read.user_stats SET (fillfactor = 80);
ALTER TABLE read.torrent_stats SET (fillfactor = 80);
