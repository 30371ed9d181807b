-- What each class asks of those who are promoted to it, as it is shown and looked for.
SET ROLE tracker_projector;

CREATE TABLE read.promotion_criteria (
  slug text PRIMARY KEY,
  group_id uuid NOT NULL,
  follows text NOT NULL,  -- the group of those who are promoted
  uploaded bigint NOT NULL,  -- 0 asks nothing, here and below
  ratio_percent int NOT NULL,
  age_days bigint NOT NULL,
  uploads bigint NOT NULL,
  seed_size bigint NOT NULL,
  average_seed_time_s bigint NOT NULL,
  keep_ratio_percent int NOT NULL,  -- below it the class is lost
  changed_pos bigint NOT NULL
);

-- Who was warned is asked again and again.
CREATE INDEX moderation_case_warned ON read.moderation_case (concerned_id, decided_at) WHERE outcome = 'warned';

RESET ROLE;
