-- What users write about themselves, and where the store keeps their pictures.
SET ROLE tracker_projector;

CREATE TABLE read.profile (
  user_id uuid PRIMARY KEY,
  title text NOT NULL,
  bio text NOT NULL,  -- Markdown
  avatar text,  -- SHA-256 of the picture
  avatar_blob text,  -- SHA-256 of es.blob's row: the picture under the user's data key
  version int NOT NULL,
  changed_pos bigint NOT NULL
);
CREATE INDEX profile_avatar ON read.profile (avatar) WHERE avatar IS NOT NULL;

RESET ROLE;
