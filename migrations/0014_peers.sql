-- What the announce journal adds up to: sessions, who earned what and why, swarms, snatches.
SET ROLE tracker_projector;

-- One client of one user on one torrent, with the counters up to which it is settled. Rows stay when the client leaves,
-- because they are the baselines of its return; addresses do not.
CREATE TABLE read.peer (
  torrent_id uuid NOT NULL,
  user_id uuid NOT NULL,
  peer_id bytea NOT NULL,
  ipv4 bytea,  -- 4 bytes, network order
  port4 int,
  ipv6 bytea,  -- 16 bytes
  port6 int,
  uploaded bigint NOT NULL,  -- the client's counters as last announced
  downloaded bigint NOT NULL,
  high_uploaded bigint NOT NULL,  -- settled up to here
  high_downloaded bigint NOT NULL,
  remaining bigint NOT NULL,  -- bytes left
  seeder boolean NOT NULL GENERATED ALWAYS AS (remaining = 0) STORED,
  active boolean NOT NULL,
  first_announced_at timestamptz NOT NULL,
  last_announced_at timestamptz NOT NULL,
  moved_at timestamptz NOT NULL,  -- of the newest record, be it the edge's own that the peer fell silent
  credited_uploaded bigint NOT NULL,
  credited_downloaded bigint NOT NULL,
  seed_time_s bigint NOT NULL,
  seeded_until timestamptz,  -- end of the last interval that this session was seen seeding
  PRIMARY KEY (torrent_id, user_id, peer_id)
) WITH (fillfactor = 80);
CREATE INDEX peer_user ON read.peer (user_id, torrent_id);

-- One row per announce that changed somebody's numbers, or would have but for an anomaly: sums of these rows are what
-- read.user_stats says. (position, seq, n) is the record's place in the journal.
CREATE TABLE read.transfer (
  user_id uuid NOT NULL,
  position bigint NOT NULL,
  edge_id text NOT NULL,
  seq bigint NOT NULL,
  n int NOT NULL,
  torrent_id uuid NOT NULL,
  peer_id bytea NOT NULL,
  at timestamptz NOT NULL,
  client_uploaded bigint NOT NULL,  -- the counters announced
  client_downloaded bigint NOT NULL,
  baseline_uploaded bigint NOT NULL,  -- settled before this announce
  baseline_downloaded bigint NOT NULL,
  raw_uploaded bigint NOT NULL,
  raw_downloaded bigint NOT NULL,
  upload_percent int NOT NULL,
  download_percent int NOT NULL,
  uploaded bigint NOT NULL,  -- credited
  downloaded bigint NOT NULL,
  seed_time_s bigint NOT NULL,
  anomaly text,
  PRIMARY KEY (user_id, position, seq, n)
);

CREATE TABLE read.user_stats (
  user_id uuid PRIMARY KEY,
  uploaded bigint NOT NULL,  -- credited
  downloaded bigint NOT NULL,
  raw_uploaded bigint NOT NULL,
  raw_downloaded bigint NOT NULL,
  seeding int NOT NULL,  -- torrents
  leeching int NOT NULL,
  snatched int NOT NULL,
  seed_time_s bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE read.torrent_stats (
  torrent_id uuid PRIMARY KEY,
  seeders int NOT NULL,  -- active sessions
  leechers int NOT NULL,
  times_completed bigint NOT NULL,  -- users who snatched it
  uploaded bigint NOT NULL,  -- raw
  downloaded bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE read.snatch (
  user_id uuid NOT NULL,
  torrent_id uuid NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (user_id, torrent_id)
);
CREATE INDEX snatch_torrent ON read.snatch (torrent_id);

-- Up to which segment each edge's journal is counted; what comes after is for the edge to replay when it starts.
CREATE TABLE read.projected_segment (
  edge_id text PRIMARY KEY,
  seq bigint NOT NULL,
  sha256 bytea NOT NULL
) WITH (fillfactor = 50);

-- When downloads of a torrent, or by a user, are recorded and not charged.
CREATE TABLE read.free_window (
  subject_id uuid NOT NULL,
  position bigint NOT NULL,  -- of the fact that opened it
  starts_at timestamptz NOT NULL,
  ends_at timestamptz,  -- null while nobody knows
  PRIMARY KEY (subject_id, position)
);
CREATE TABLE read.credit_group (
  group_id uuid PRIMARY KEY,
  free boolean NOT NULL
);
CREATE TABLE read.credit_member (
  user_id uuid PRIMARY KEY,
  group_id uuid NOT NULL
);
CREATE INDEX credit_member_group ON read.credit_member (group_id);
CREATE TABLE read.deleted_torrent (
  torrent_id uuid PRIMARY KEY
);

RESET ROLE;
