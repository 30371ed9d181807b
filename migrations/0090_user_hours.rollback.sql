SET ROLE tracker_projector;

ALTER TABLE read.user_history RENAME TO user_hour;
ALTER INDEX read.user_history_pkey RENAME TO user_hour_pkey;
CREATE TABLE read.user_history (
  user_id uuid NOT NULL,
  day date NOT NULL,  -- UTC
  uploaded bigint NOT NULL,  -- credited
  downloaded bigint NOT NULL,
  seed_time_s bigint NOT NULL,
  PRIMARY KEY (user_id, day)
) WITH (fillfactor = 60);
INSERT INTO read.user_history
  SELECT user_id, (at AT TIME ZONE 'UTC')::date, least(sum(uploaded), 9223372036854775807),
    least(sum(downloaded), 9223372036854775807), sum(seed_time_s)
  FROM read.user_hour GROUP BY 1, 2;
DROP TABLE read.user_hour, read.user_history_clock, read.torrent_size;
ALTER TABLE read.user_stats DROP COLUMN seed_size, DROP COLUMN torrents;

RESET ROLE;
