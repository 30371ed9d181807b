-- Read tables of accounts and groups, and what the announce edge needs to know of users and torrents.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE SCHEMA read AUTHORIZATION tracker_projector;
GRANT USAGE ON SCHEMA read TO tracker_app;
ALTER DEFAULT PRIVILEGES FOR ROLE tracker_projector GRANT SELECT ON TABLES TO tracker_app;

SET ROLE tracker_projector;

-- Names are unique by their claim streams, not here: every erased person is called `erased`.
CREATE TABLE read.account (
  user_id uuid PRIMARY KEY,
  username text NOT NULL,
  email text NOT NULL,
  group_slug text NOT NULL,
  state text NOT NULL CHECK (state IN ('validating', 'enabled', 'disabled')),
  email_verified boolean NOT NULL,
  two_factor boolean NOT NULL,
  passkey_no int NOT NULL,
  registered_at timestamptz NOT NULL,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX account_username ON read.account (lower(username) text_pattern_ops);
CREATE INDEX account_username_trgm ON read.account USING gin (lower(username) gin_trgm_ops);
CREATE INDEX account_group ON read.account (group_slug);

CREATE TABLE read.user_group (
  slug text PRIMARY KEY,
  group_id uuid NOT NULL,
  name text NOT NULL,
  level int NOT NULL,
  permissions text[] NOT NULL,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);

-- The edge reads both tables by `changed_pos > what it saw last`. `active` and `group_slug` are what `enabled` and
-- `can_leech` are worked out from.
CREATE TABLE read.announce_user (
  user_id uuid PRIMARY KEY,
  passkey_no int NOT NULL,
  enabled boolean NOT NULL,
  can_leech boolean NOT NULL,
  changed_pos bigint NOT NULL,
  active boolean NOT NULL,
  group_slug text NOT NULL
);
CREATE INDEX announce_user_changed ON read.announce_user (changed_pos);
CREATE INDEX announce_user_group ON read.announce_user (group_slug);

CREATE TABLE read.announce_group (
  slug text PRIMARY KEY,
  group_id uuid NOT NULL UNIQUE,
  can_seed boolean NOT NULL,
  can_leech boolean NOT NULL
);

CREATE TABLE read.announce_torrent (
  torrent_id uuid PRIMARY KEY,
  info_hash_v1 bytea,
  info_hash_v2 bytea,
  state text NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'deleted')),
  reason text NOT NULL,
  size bigint NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX announce_torrent_changed ON read.announce_torrent (changed_pos);

RESET ROLE;
