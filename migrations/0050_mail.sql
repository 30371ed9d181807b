-- Mail that waits for its delivery: written in the transaction that gives the reason for it, gone once it is delivered.

-- A mail is sealed with the site's key: it holds an address, a name and mostly a link that opens something.
CREATE TABLE credentials.mail (
  mail_id uuid PRIMARY KEY,
  sealed bytea NOT NULL,
  posted_at timestamptz NOT NULL DEFAULT now(),
  tries int NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),  -- also a lease: whoever tries to deliver it moves this on first
  error text,  -- of the last try; never an address
  dead_at timestamptz  -- nobody tries any more
);
CREATE INDEX mail_due ON credentials.mail (due_at) WHERE dead_at IS NULL;

-- All that stays of what was delivered.
CREATE TABLE credentials.mail_delivered (
  day date PRIMARY KEY,
  mails bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.mail, credentials.mail_delivered TO tracker_app;
