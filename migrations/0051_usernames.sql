-- Names that nobody may take, and names that users had before.
SET ROLE tracker_projector;

CREATE TABLE read.banned_name (
  pattern text COLLATE "C" PRIMARY KEY,
  reason text NOT NULL,
  banned_by uuid NOT NULL,
  banned_at timestamptz NOT NULL
);

CREATE TABLE read.former_username (
  user_id uuid NOT NULL,
  version int NOT NULL,  -- of the account, with which it got another name
  username text NOT NULL,
  until timestamptz NOT NULL,
  renamed_by uuid NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (user_id, version)
);

RESET ROLE;
