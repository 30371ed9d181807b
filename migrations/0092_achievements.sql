-- What there is to achieve, who has it, and how far everybody is.
SET ROLE tracker_projector;

CREATE TABLE read.achievement (
  achievement_id uuid PRIMARY KEY,
  slug text NOT NULL,
  name text NOT NULL,
  description text NOT NULL,
  secret boolean NOT NULL,
  match text NOT NULL,  -- all, any
  measures text[] NOT NULL,  -- of its conditions, in order
  comparators text[] NOT NULL,
  thresholds bigint[] NOT NULL,
  withdrawn boolean NOT NULL,
  defined_position bigint NOT NULL
);

CREATE TABLE read.user_achievements (
  user_id uuid NOT NULL,
  achievement_id uuid NOT NULL,
  awarded_at timestamptz NOT NULL,
  automatic boolean NOT NULL,
  reason text NOT NULL,
  awarded_by uuid NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (user_id, achievement_id)
);

-- Every award and every loss, with why; newest last.
CREATE TABLE read.achievement_event (
  user_id uuid NOT NULL,
  position bigint NOT NULL,
  achievement_id uuid NOT NULL,
  awarded boolean NOT NULL,
  automatic boolean NOT NULL,
  reason text NOT NULL,
  actor_id uuid NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (user_id, position)
);

CREATE TABLE read.achievement_progress (
  user_id uuid NOT NULL,
  measure text NOT NULL,
  deeds bigint NOT NULL,
  PRIMARY KEY (user_id, measure)
) WITH (fillfactor = 80);

RESET ROLE;
