-- The bonus ledger as rows, what seeding earns, and the requests with their bounties. Points are thousandths.
SET ROLE tracker_projector;

CREATE TABLE read.ledger_account (
  account_id uuid PRIMARY KEY,
  kind text NOT NULL,  -- bonus, issuance, escrow
  owner_id uuid NOT NULL,  -- a user, or the request of an escrow
  balance bigint NOT NULL
);
CREATE INDEX ON read.ledger_account (owner_id, kind);

CREATE TABLE read.ledger_posting (
  account_id uuid NOT NULL,
  version int NOT NULL,
  entry_id uuid NOT NULL,
  at timestamptz NOT NULL,
  amount bigint NOT NULL,
  balance bigint NOT NULL,  -- after this posting
  kind text NOT NULL,
  subject_type text NOT NULL,
  subject_id uuid NOT NULL,
  text text NOT NULL,
  counter_account_id uuid NOT NULL,
  actor_id uuid NOT NULL,
  command_id uuid NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (account_id, version)
);
CREATE INDEX ON read.ledger_posting (account_id, position DESC);
CREATE UNIQUE INDEX ON read.ledger_posting (entry_id, account_id);

-- Entries of which one half has been seen; empty whenever the projection has read whole commands.
CREATE TABLE read.ledger_open_entry (
  entry_id uuid PRIMARY KEY,
  account_id uuid NOT NULL,
  counter_account_id uuid NOT NULL,
  amount bigint NOT NULL,
  command_id uuid NOT NULL,
  position bigint NOT NULL
);

CREATE TABLE read.ledger_balance (
  user_id uuid PRIMARY KEY,
  balance bigint NOT NULL
);

CREATE TABLE read.bonus_rule (
  rule_id uuid PRIMARY KEY,
  slug text NOT NULL UNIQUE,
  description text NOT NULL,
  rank int NOT NULL,
  operation text NOT NULL,  -- append, multiply
  terms text[] NOT NULL
);

CREATE TABLE read.request (
  request_id uuid PRIMARY KEY,
  requester_id uuid NOT NULL,
  title text NOT NULL,
  description text NOT NULL,
  category text NOT NULL,
  state text NOT NULL,  -- open, filled, accepted, cancelled
  bounty bigint NOT NULL,  -- everything that was offered, also after it was paid or refunded
  filler_id uuid,
  torrent_id uuid,
  rejection text,  -- why the last fill was rejected
  opened_at timestamptz NOT NULL,
  filled_at timestamptz,
  closed_at timestamptz,
  version int NOT NULL,
  opened_position bigint NOT NULL
);
CREATE INDEX ON read.request (opened_position DESC);
CREATE INDEX ON read.request (state, opened_position DESC);
CREATE INDEX ON read.request (category, opened_position DESC);

CREATE TABLE read.request_bounty (
  request_id uuid NOT NULL,
  contributor_id uuid NOT NULL,
  amount bigint NOT NULL,
  last_at timestamptz NOT NULL,
  PRIMARY KEY (request_id, contributor_id)
);

RESET ROLE;
