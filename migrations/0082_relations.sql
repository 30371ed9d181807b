-- Whom users befriend, block and follow.
SET ROLE tracker_projector;

CREATE TABLE read.relation (
  user_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('friend', 'block', 'follow')),
  other_id uuid NOT NULL,
  note text,  -- about a friend
  since timestamptz NOT NULL,
  position bigint NOT NULL,  -- of the fact that began it
  PRIMARY KEY (user_id, kind, other_id)
);
CREATE INDEX relation_order ON read.relation (user_id, kind, position DESC);
CREATE INDEX relation_other ON read.relation (other_id, kind, position DESC);

RESET ROLE;
