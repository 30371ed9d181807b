DROP TABLE read.torrent, read.torrent_file, read.torrent_tag, read.category, read.forum, read.chat_room,
  read.search_change, es.search_index;
