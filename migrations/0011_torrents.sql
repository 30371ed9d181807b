-- Read tables of torrents, categories, forums and chat rooms, and how far search indexes have been told.

CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

-- How far an index outside of the database follows read.search_change. It is the sender's own, not a projection:
-- what an index holds does not follow from the facts alone.
CREATE TABLE es.search_index (
  uid text PRIMARY KEY,
  position bigint NOT NULL DEFAULT 0,
  caught_up_at timestamptz,  -- null until the first time that everything has been sent
  moved_at timestamptz NOT NULL DEFAULT now(),
  error text
);
GRANT SELECT ON es.search_index TO tracker_app;
GRANT SELECT, INSERT, UPDATE ON es.search_index TO tracker_projector;

SET ROLE tracker_projector;

CREATE TABLE read.torrent (
  torrent_id uuid PRIMARY KEY,
  name text NOT NULL,
  description text NOT NULL,
  category text NOT NULL,
  tags text[] NOT NULL,
  anonymous boolean NOT NULL,
  uploader_id uuid NOT NULL,
  info_hash_v1 text,  -- hexadecimal
  info_hash_v2 text,
  size bigint NOT NULL,
  piece_length int NOT NULL,
  file_count int NOT NULL,
  metainfo_sha256 text NOT NULL,  -- of the stored .torrent in es.blob, hexadecimal
  state text NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'deleted')),
  reason text,  -- of the rejection or deletion
  uploaded_at timestamptz NOT NULL,
  listed_at timestamptz NOT NULL,  -- when it was approved, so that it lists as new then
  free_until timestamptz,
  version int NOT NULL,
  changed_pos bigint NOT NULL,
  folded_name text NOT NULL,  -- runtime/search_text.py
  folded_rest text NOT NULL,
  lexemes tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('pg_catalog.simple', folded_name), 'A')
    || setweight(to_tsvector('pg_catalog.simple', folded_rest), 'C')) STORED
);
CREATE INDEX torrent_newest ON read.torrent (listed_at DESC, torrent_id DESC) WHERE state = 'approved';
CREATE INDEX torrent_largest ON read.torrent (size DESC, torrent_id DESC) WHERE state = 'approved';
CREATE INDEX torrent_category ON read.torrent (category, listed_at DESC, torrent_id DESC) WHERE state = 'approved';
CREATE INDEX torrent_uploader ON read.torrent (uploader_id, listed_at DESC, torrent_id DESC);
CREATE INDEX torrent_queue ON read.torrent (state, listed_at DESC, torrent_id DESC) WHERE state <> 'approved';
CREATE INDEX torrent_free ON read.torrent (free_until) WHERE free_until IS NOT NULL;
CREATE INDEX torrent_lexemes ON read.torrent USING gin (lexemes);
CREATE INDEX torrent_name_trgm ON read.torrent USING gin (folded_name public.gin_trgm_ops);

CREATE TABLE read.torrent_file (
  torrent_id uuid NOT NULL,
  n int NOT NULL,
  path text NOT NULL,
  length bigint NOT NULL,
  PRIMARY KEY (torrent_id, n)
);

CREATE TABLE read.torrent_tag (
  tag text COLLATE "C" NOT NULL,
  torrent_id uuid NOT NULL,
  PRIMARY KEY (tag, torrent_id)
);

CREATE TABLE read.category (
  category_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  parent text,
  rank int NOT NULL
);

CREATE TABLE read.forum (
  forum_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  description text NOT NULL,
  rank int NOT NULL,
  read_level int NOT NULL,
  write_level int NOT NULL
);

CREATE TABLE read.chat_room (
  room_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  name text NOT NULL,
  rank int NOT NULL,
  level int NOT NULL
);

-- The last fact of each torrent. Senders follow it with positions of their own, so that nothing is deleted here and a
-- rebuilt table equals the live one.
CREATE TABLE read.search_change (
  torrent_id uuid PRIMARY KEY,
  position bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX search_change_position ON read.search_change (position);

RESET ROLE;
