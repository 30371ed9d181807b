-- Promotions of any kind, of a torrent, of the site, of a user, of a user on a torrent; and the tokens that buy some.
SET ROLE tracker_projector;

-- When bytes count otherwise than in full. A zero id means all torrents, or all users.
CREATE TABLE read.promotion_window (
  user_id uuid NOT NULL,
  torrent_id uuid NOT NULL,
  position bigint NOT NULL,  -- of the fact that opened it
  source_id uuid NOT NULL,  -- the stream that opens and ends it; zero for the perk of a user's group
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,  -- infinity while nobody knows
  upload_percent int NOT NULL,
  download_percent int NOT NULL,
  PRIMARY KEY (user_id, torrent_id, position)
);
CREATE INDEX promotion_window_user ON read.promotion_window (user_id, ends_at);
CREATE INDEX promotion_window_source ON read.promotion_window (source_id, ends_at);

ALTER TABLE read.credit_group
  ADD COLUMN upload_percent int NOT NULL DEFAULT 100,
  ADD COLUMN download_percent int NOT NULL DEFAULT 100;
UPDATE read.credit_group SET download_percent = 0 WHERE free;
ALTER TABLE read.credit_group DROP COLUMN free;

-- A subject was a torrent or a member; only members' windows follow a group.
INSERT INTO read.promotion_window
  SELECT coalesce(m.user_id, zero), CASE WHEN m.user_id IS NULL THEN w.subject_id ELSE zero END, w.position,
    CASE WHEN m.user_id IS NULL THEN w.subject_id ELSE zero END, w.starts_at, coalesce(w.ends_at, 'infinity'), 100, 0
  FROM (VALUES (uuid '00000000-0000-0000-0000-000000000000')) AS all_of_them (zero) CROSS JOIN read.free_window w
  LEFT JOIN read.credit_member m ON m.user_id = w.subject_id;
DROP TABLE read.free_window;

-- A torrent's own promotion; `promoted_until` is null while nobody knows. `free_until` says when downloads cease to be
-- free of charge, in the far future then.
ALTER TABLE read.torrent
  ADD COLUMN upload_percent int NOT NULL DEFAULT 100,
  ADD COLUMN download_percent int NOT NULL DEFAULT 100,
  ADD COLUMN promoted_until timestamptz;
UPDATE read.torrent SET download_percent = 0, promoted_until = free_until WHERE free_until IS NOT NULL;

ALTER TABLE read.account ADD COLUMN free_until timestamptz;  -- whatever the user downloads is free of charge

CREATE TABLE read.site_promotion (
  promotion_id uuid PRIMARY KEY,
  upload_percent int NOT NULL,
  download_percent int NOT NULL,
  started_at timestamptz NOT NULL,
  until timestamptz,
  ended_at timestamptz,  -- early
  version int NOT NULL,
  changed_pos bigint NOT NULL
);

CREATE TABLE read.freeleech_tokens (
  user_id uuid PRIMARY KEY,
  balance bigint NOT NULL,
  version int NOT NULL,
  changed_pos bigint NOT NULL
);

-- A torrent that a user's tokens freed.
CREATE TABLE read.token_spent (
  user_id uuid NOT NULL,
  position bigint NOT NULL,
  torrent_id uuid NOT NULL,
  tokens bigint NOT NULL,
  spent_at timestamptz NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (user_id, position)
);

RESET ROLE;
