DROP TABLE read.user_statistics, read.statistics_fact, read.statistics_history, read.statistics_history_clock,
  read.counted_torrent, read.counted_account, read.counted_fill;
DELETE FROM es.follower WHERE name = 'user_statistics';
