-- What users moved and seeded by the hour, then by the day, then by the month; and how much they seed.
SET ROLE tracker_projector;

ALTER TABLE read.user_stats
  ADD COLUMN seed_size bigint NOT NULL DEFAULT 0,  -- bytes of the torrents that are seeded now
  ADD COLUMN torrents int NOT NULL DEFAULT 0;  -- that the user's clients ever took part in

-- Sizes by torrent, so that seeding one can be weighed.
CREATE TABLE read.torrent_size (
  torrent_id uuid PRIMARY KEY,
  size bigint NOT NULL
);

ALTER TABLE read.user_history RENAME TO user_day;
ALTER INDEX read.user_history_pkey RENAME TO user_day_pkey;

-- How much a user's numbers changed within a period, by the time of the announces: sums of them are read.user_stats.
CREATE TABLE read.user_history (
  user_id uuid NOT NULL,
  grain text NOT NULL CHECK (grain IN ('hour', 'day', 'month')),
  at timestamptz NOT NULL,  -- where the hour, day or month (UTC) begins
  uploaded bigint NOT NULL,  -- credited
  downloaded bigint NOT NULL,
  seed_time_s bigint NOT NULL,
  seeding bigint NOT NULL,  -- torrents more, or fewer
  leeching bigint NOT NULL,
  seed_size bigint NOT NULL,
  snatched bigint NOT NULL,
  torrents bigint NOT NULL,
  PRIMARY KEY (user_id, at, grain)
) WITH (fillfactor = 60);
CREATE INDEX user_history_grain ON read.user_history (grain, at);

CREATE TABLE read.user_history_clock (
  one boolean PRIMARY KEY CHECK (one),
  hour timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What is known of before; the rest comes when the projection is rebuilt.
INSERT INTO read.torrent_size SELECT torrent_id, size FROM read.torrent;
INSERT INTO read.user_history
  SELECT user_id, 'day', day::timestamp AT TIME ZONE 'UTC', uploaded, downloaded, seed_time_s, 0, 0, 0, 0, 0
  FROM read.user_day;
INSERT INTO read.user_history_clock
  SELECT true, max(day)::timestamp AT TIME ZONE 'UTC' FROM read.user_day HAVING max(day) IS NOT NULL;
DROP TABLE read.user_day;
UPDATE read.user_stats u SET torrents = p.torrents, seed_size = p.seed_size FROM (
  SELECT c.user_id, count(*) AS torrents, coalesce(sum(t.size) FILTER (WHERE c.seeding), 0) AS seed_size
  FROM (SELECT user_id, torrent_id, bool_or(active AND seeder) AS seeding FROM read.peer GROUP BY 1, 2) c
  LEFT JOIN read.torrent_size t USING (torrent_id) GROUP BY 1) p
WHERE p.user_id = u.user_id;

RESET ROLE;
