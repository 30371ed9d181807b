SET ROLE tracker_projector;
DROP TABLE read.site_promotion, read.freeleech_tokens, read.token_spent;
ALTER TABLE read.account DROP COLUMN free_until;
ALTER TABLE read.torrent DROP COLUMN upload_percent, DROP COLUMN download_percent, DROP COLUMN promoted_until;

-- What the tables before could not say is lost here, and comes back when the projection is rebuilt.
CREATE TABLE read.free_window (
  subject_id uuid NOT NULL,
  position bigint NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz,
  PRIMARY KEY (subject_id, position)
);
INSERT INTO read.free_window
  SELECT CASE WHEN w.user_id = zero THEN w.torrent_id ELSE w.user_id END, w.position, w.starts_at,
    nullif(w.ends_at, 'infinity')
  FROM (VALUES (uuid '00000000-0000-0000-0000-000000000000')) AS all_of_them (zero) CROSS JOIN read.promotion_window w
  WHERE w.upload_percent >= 100 AND w.download_percent = 0
    AND (w.user_id = zero AND w.torrent_id <> zero OR w.user_id <> zero AND w.source_id = zero);
DROP TABLE read.promotion_window;

ALTER TABLE read.credit_group ADD COLUMN free boolean NOT NULL DEFAULT false;
UPDATE read.credit_group SET free = download_percent = 0;
ALTER TABLE read.credit_group DROP COLUMN upload_percent, DROP COLUMN download_percent, ALTER COLUMN free DROP DEFAULT;
RESET ROLE;
