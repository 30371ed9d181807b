DROP TABLE read.free_window, read.credit_member, read.credit_group, read.deleted_torrent, read.projected_segment,
  read.peer, read.transfer, read.user_stats, read.torrent_stats, read.snatch;
