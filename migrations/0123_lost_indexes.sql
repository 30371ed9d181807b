-- A rebuild of `peers` could leave its tables without these, which migrations before this one have made.
SET ROLE tracker_projector;

CREATE INDEX IF NOT EXISTS peer_user ON read.peer (user_id, torrent_id);
CREATE INDEX IF NOT EXISTS snatch_torrent ON read.snatch (torrent_id);
CREATE INDEX IF NOT EXISTS transfer_anomaly ON read.transfer (position, seq, n) WHERE anomaly IS NOT NULL;
CREATE INDEX IF NOT EXISTS transfer_anomaly_user ON read.transfer (user_id, position, seq, n) WHERE anomaly IS NOT NULL;
CREATE INDEX IF NOT EXISTS user_history_grain ON read.user_history (grain, at);
CREATE INDEX IF NOT EXISTS promotion_window_user ON read.promotion_window (user_id, ends_at);
CREATE INDEX IF NOT EXISTS promotion_window_source ON read.promotion_window (source_id, ends_at);
CREATE INDEX IF NOT EXISTS credit_member_group ON read.credit_member (group_id);
CREATE INDEX IF NOT EXISTS credit_membership_group ON read.credit_membership (group_id);

RESET ROLE;
