-- What the announce edge is told besides rights and torrents: client rules, announce rules, slots, when a torrent went.
SET ROLE tracker_projector;

ALTER TABLE read.user_group ADD COLUMN download_slots int;  -- null without a limit

ALTER TABLE read.announce_group ADD COLUMN download_slots int;
ALTER TABLE read.announce_user ADD COLUMN download_slots int;

ALTER TABLE read.announce_torrent ADD COLUMN deleted_at timestamptz;
UPDATE read.announce_torrent t SET deleted_at = (convert_from(e.data, 'UTF8')::jsonb ->> 'timestamp')::timestamptz
FROM es.event e JOIN es.event_type y ON y.id = e.type
WHERE y.name = 'torrent.deleted' AND e.stream_id = t.torrent_id AND t.state = 'deleted';

-- A rule that was withdrawn keeps its row: the edge reads everything again when the highest changed_pos moves.
CREATE TABLE read.announce_client_rule (
  rule_id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('allow', 'deny')),
  name text NOT NULL,
  peer_id_pattern text,
  agent_pattern text,
  peer_id_minimum int[] NOT NULL,
  agent_minimum int[] NOT NULL,
  reason text,
  exceptions jsonb NOT NULL,
  withdrawn boolean NOT NULL,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX announce_client_rule_changed ON read.announce_client_rule (changed_pos);

-- One row, or none while the defaults hold.
CREATE TABLE read.announce_rules (
  rules_id uuid PRIMARY KEY,
  refused_ports int[] NOT NULL,
  peers_per_torrent int NOT NULL,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX announce_rules_changed ON read.announce_rules (changed_pos);

RESET ROLE;

-- Who asked for torrents that are none. An operational record of the edges with a short life: no part of the history.
CREATE TABLE journal.unregistered_hash (
  user_id uuid NOT NULL,
  info_hash bytea NOT NULL CHECK (length(info_hash) = 20),
  announces bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, info_hash)
) WITH (fillfactor = 80);
CREATE INDEX unregistered_hash_newest ON journal.unregistered_hash (last_at, user_id, info_hash);
GRANT SELECT, INSERT, UPDATE, DELETE ON journal.unregistered_hash TO tracker_app;
