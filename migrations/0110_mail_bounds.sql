-- How often the site has written to an address lately because somebody named it. No address can be read from this: it is
-- a keyed hash.
CREATE TABLE credentials.mail_bound (
  mailbox bytea PRIMARY KEY,  -- and for what occasion
  sent_at timestamptz[] NOT NULL  -- at most a day old when the newest was added
);
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.mail_bound TO tracker_app;
