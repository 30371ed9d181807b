-- What users let others see of their numbers and lists. Who has no row shows everything.
SET ROLE tracker_projector;

CREATE TABLE read.privacy (
  user_id uuid PRIMARY KEY,
  hidden text[] NOT NULL,  -- keys of which nothing is shown
  counted text[] NOT NULL,  -- keys of which the count alone is shown
  version int NOT NULL,
  changed_pos bigint NOT NULL
);

RESET ROLE;
