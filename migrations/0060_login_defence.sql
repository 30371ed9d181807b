-- Who guesses passwords and codes, from where, and which devices an account is used on. Rows have a short life, and
-- are no events: strangers write them, with whatever names they like.

-- One try of a secret. `user_id` is the account's, or for a name without one the id of its claim, so that both look
-- the same. A right guess has no row.
CREATE TABLE credentials.guess (
  guess_id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  network inet,  -- an IPv4 address or the /64 of an IPv6 one; null for a caller without an address
  ip inet,
  user_agent text,
  at timestamptz NOT NULL,
  with_code boolean NOT NULL,
  failure text CHECK (failure IN ('password', 'second_factor')),  -- null while it is under way
  counts_at_address boolean NOT NULL DEFAULT true,  -- until this account signs in from there
  counts_for_account boolean NOT NULL DEFAULT true  -- until this account signs in from anywhere
);
CREATE INDEX ON credentials.guess (network, at);
CREATE INDEX ON credentials.guess (user_id, at);
CREATE INDEX ON credentials.guess (at);

-- Where an account has signed in from: strangers' failures elsewhere do not hold it up there.
CREATE TABLE credentials.known_device (
  user_id uuid NOT NULL,
  network inet NOT NULL,
  signed_in_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, network)
);

-- What an owner was told of lately, so that one attack is one mail a day.
CREATE TABLE credentials.notice (
  user_id uuid NOT NULL,
  kind text NOT NULL,
  told_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, kind)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.guess, credentials.known_device, credentials.notice TO tracker_app;

ALTER TABLE credentials.session ADD COLUMN last_used_at timestamptz;  -- exact to a minute
