-- What is counted of users besides bytes: now, by the fact, and over time. The zero user is the whole site.
SET ROLE tracker_projector;

CREATE TABLE read.user_statistics (
  user_id uuid PRIMARY KEY,
  accounts bigint NOT NULL DEFAULT 0,
  uploads bigint NOT NULL DEFAULT 0,
  uploads_anonymous bigint NOT NULL DEFAULT 0,
  requests_opened bigint NOT NULL DEFAULT 0,
  requests_filled bigint NOT NULL DEFAULT 0,
  requests_filled_anonymous bigint NOT NULL DEFAULT 0,
  bounty_spent bigint NOT NULL DEFAULT 0,  -- points are thousandths
  bounty_earned bigint NOT NULL DEFAULT 0,
  bonus_spent bigint NOT NULL DEFAULT 0,
  bonus_earned bigint NOT NULL DEFAULT 0,
  reports bigint NOT NULL DEFAULT 0,
  joined_at timestamptz,
  signed_in_at timestamptz,
  sign_in_day date,  -- UTC
  sign_in_days int NOT NULL DEFAULT 0,  -- in a row, up to that one
  sign_in_days_longest int NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

-- Why each number but those of points is what it is: sums of these amounts are read.user_statistics. Points are
-- explained by read.ledger_posting.
CREATE TABLE read.statistics_fact (
  user_id uuid NOT NULL,
  count text NOT NULL,
  position bigint NOT NULL,
  subject_id uuid NOT NULL,
  subject_type text NOT NULL,
  at timestamptz NOT NULL,
  amount int NOT NULL,
  topic text NOT NULL,  -- of the event
  PRIMARY KEY (user_id, count, position, subject_id)
);

-- How much the numbers changed within a period; see read.user_history.
CREATE TABLE read.statistics_history (
  user_id uuid NOT NULL,
  grain text NOT NULL CHECK (grain IN ('hour', 'day', 'month')),
  at timestamptz NOT NULL,
  accounts bigint NOT NULL,
  uploads bigint NOT NULL,
  uploads_anonymous bigint NOT NULL,
  requests_opened bigint NOT NULL,
  requests_filled bigint NOT NULL,
  requests_filled_anonymous bigint NOT NULL,
  bounty_spent bigint NOT NULL,
  bounty_earned bigint NOT NULL,
  bonus_spent bigint NOT NULL,
  bonus_earned bigint NOT NULL,
  reports bigint NOT NULL,
  PRIMARY KEY (user_id, at, grain)
) WITH (fillfactor = 60);
CREATE INDEX statistics_history_grain ON read.statistics_history (grain, at);

CREATE TABLE read.statistics_history_clock (
  one boolean PRIMARY KEY CHECK (one),
  hour timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What later facts do not say again: whose upload a torrent is, whose account an account, and what filled a request.
CREATE TABLE read.counted_torrent (
  torrent_id uuid PRIMARY KEY,
  uploader_id uuid NOT NULL,
  anonymous boolean NOT NULL,
  listed boolean NOT NULL
);
CREATE TABLE read.counted_account (
  account_id uuid PRIMARY KEY,
  user_id uuid NOT NULL
);
CREATE TABLE read.counted_fill (
  request_id uuid PRIMARY KEY,
  torrent_id uuid NOT NULL,
  filler_id uuid NOT NULL,
  anonymous boolean NOT NULL
);
CREATE INDEX counted_fill_torrent ON read.counted_fill (torrent_id);

RESET ROLE;
