-- Archives of everything about a person, for that person to fetch within days.

-- Sealed with the person's data key, and in no backup: it can be made again. Schema credentials, so that an erasure finds
-- it like everything there that is about a user.
CREATE TABLE credentials.export (
  user_id uuid PRIMARY KEY,
  sealed bytea NOT NULL,
  until timestamptz NOT NULL
);
ALTER TABLE credentials.export ALTER COLUMN sealed SET STORAGE EXTERNAL;  -- ciphertext does not compress
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.export TO tracker_app;

SET ROLE tracker_projector;

CREATE TABLE read.export (
  user_id uuid PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('requested', 'built')),
  requested_at timestamptz NOT NULL,
  built_at timestamptz,
  until timestamptz,
  size bigint
);
CREATE INDEX export_due ON read.export (requested_at) WHERE state = 'requested';

RESET ROLE;
