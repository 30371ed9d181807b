-- The past of swarms and users in hours and days, and anomalies in an order that a moderator can read.
SET ROLE tracker_projector;

-- By the time of receipt at the edge. The swarm is the largest after any announce of the hour: clients.
CREATE TABLE read.torrent_history (
  torrent_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  seeders int NOT NULL,
  leechers int NOT NULL,
  completed bigint NOT NULL,  -- users who snatched it
  uploaded bigint NOT NULL,  -- raw
  downloaded bigint NOT NULL,
  PRIMARY KEY (torrent_id, hour)
) WITH (fillfactor = 60);

-- The same of all torrents together.
CREATE TABLE read.site_history (
  hour timestamptz PRIMARY KEY,
  seeders bigint NOT NULL,
  leechers bigint NOT NULL,
  completed bigint NOT NULL,
  uploaded bigint NOT NULL,
  downloaded bigint NOT NULL,
  announces bigint NOT NULL
) WITH (fillfactor = 50);

-- How many clients all swarms have together now: what site_history counts from.
CREATE TABLE read.site_swarm (
  one boolean PRIMARY KEY CHECK (one),
  seeders bigint NOT NULL,
  leechers bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE read.user_history (
  user_id uuid NOT NULL,
  day date NOT NULL,  -- UTC
  uploaded bigint NOT NULL,  -- credited
  downloaded bigint NOT NULL,
  seed_time_s bigint NOT NULL,
  PRIMARY KEY (user_id, day)
) WITH (fillfactor = 60);

CREATE INDEX transfer_anomaly ON read.transfer (position, seq, n) WHERE anomaly IS NOT NULL;
CREATE INDEX transfer_anomaly_user ON read.transfer (user_id, position, seq, n) WHERE anomaly IS NOT NULL;

-- One batch changes many rows of each page. Where the new versions find no room, both indexes change too.
ALTER TABLE read.peer SET (fillfactor = 65);
ALTER TABLE read.user_stats SET (fillfactor = 60);
ALTER TABLE read.torrent_stats SET (fillfactor = 60);

RESET ROLE;
