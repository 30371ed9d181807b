-- Moderation cases and reports, and who did what to which subject.
SET ROLE tracker_projector;

-- The words of reports and appeals are personal and stay in the history, encrypted.
CREATE TABLE read.moderation_case (
  case_id uuid PRIMARY KEY,
  subject_type text NOT NULL,  -- torrent, user, request
  subject_id uuid NOT NULL,
  concerned_id uuid NOT NULL,
  state text NOT NULL,  -- open, claimed, decided, appealed, closed
  moderator_id uuid,
  outcome text,
  reason text,  -- of the last decision
  reports int NOT NULL,
  appeals int NOT NULL,
  opened_at timestamptz NOT NULL,
  decided_at timestamptz,
  closed_at timestamptz,
  version int NOT NULL,
  opened_position bigint NOT NULL
);
CREATE INDEX ON read.moderation_case (opened_position DESC);
CREATE INDEX ON read.moderation_case (state, opened_position DESC);
CREATE INDEX ON read.moderation_case (moderator_id, opened_position DESC);
CREATE INDEX ON read.moderation_case (subject_id);

CREATE TABLE read.moderation_report (
  report_id uuid PRIMARY KEY,
  case_id uuid NOT NULL,
  reporter_id uuid NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL,
  position bigint NOT NULL
);
CREATE INDEX ON read.moderation_report (reporter_id, position DESC);
CREATE INDEX ON read.moderation_report (case_id);

CREATE TABLE read.audit_entry (
  position bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  actor_id uuid NOT NULL,
  action text NOT NULL,  -- the event's topic
  stream_id uuid NOT NULL,
  subject_type text NOT NULL,
  subject_id uuid NOT NULL,
  reason text,
  command_id uuid NOT NULL,
  correlation_id uuid NOT NULL,
  origin text NOT NULL,
  data jsonb NOT NULL,  -- the event's fields without personal ones
  hidden_from uuid  -- whoever a moderation case is about does not learn here who reported it
);
CREATE INDEX ON read.audit_entry (actor_id, position DESC);
CREATE INDEX ON read.audit_entry (subject_id, position DESC);
CREATE INDEX ON read.audit_entry (stream_id, position DESC);
CREATE INDEX ON read.audit_entry (action text_pattern_ops, position DESC);
CREATE INDEX ON read.audit_entry (command_id);
CREATE INDEX ON read.audit_entry (at);

-- What the audit must remember of a stream to name the subject of its later events.
CREATE TABLE read.audit_stream (
  stream_id uuid PRIMARY KEY,
  subject_type text NOT NULL,
  subject_id uuid NOT NULL,
  hidden_from uuid
);

RESET ROLE;
