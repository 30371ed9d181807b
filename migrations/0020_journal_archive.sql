-- Days of the announce journal that lie in files: what was in them, and the only ways out of the table and back.

-- One row for each edge that wrote on an archived day; the chain of the table goes on through it.
CREATE TABLE journal.archived_day (
  day date NOT NULL,
  edge_id text NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  announces bigint NOT NULL,
  first_previous bytea NOT NULL,  -- what the first segment follows
  last_sha256 bytea NOT NULL,  -- what the segment after the last one follows
  file_sha256 bytea NOT NULL,
  archived_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (edge_id, day)
);

-- Takes a closed day out of the table. p_manifest is a JSON array with an object for each edge of the day, keys as the
-- columns above and hashes in hex. Refused: a day within the retention, a manifest that says something else than the
-- table, and no manifest.
CREATE FUNCTION journal.drop_day(p_day date, p_keep_days int, p_manifest jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  name text := 'segment_' || to_char(p_day, 'YYYYMMDD');
BEGIN
  IF p_day >= (now() AT TIME ZONE 'UTC')::date - greatest(p_keep_days, 1) THEN
    RAISE EXCEPTION 'the journal of % is within its retention', p_day USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF to_regclass('journal.' || name) IS NOT NULL THEN
    EXECUTE format('LOCK TABLE journal.%I IN ACCESS EXCLUSIVE MODE', name);
  END IF;
  IF EXISTS (
    SELECT FROM (
      SELECT edge_id, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS segments, sum(announces) AS announces,
             (array_agg(sha256 ORDER BY seq DESC))[1] AS last_sha256, (array_agg(previous ORDER BY seq))[1] AS first_previous
      FROM segment WHERE day = p_day GROUP BY edge_id) AS held
    FULL JOIN jsonb_to_recordset(p_manifest) AS said (edge_id text, first_seq bigint, last_seq bigint, announces bigint,
      first_previous text, last_sha256 text, file_sha256 text) USING (edge_id)
    WHERE (held.first_seq, held.last_seq, held.announces, encode(held.first_previous, 'hex'),
           encode(held.last_sha256, 'hex'), held.segments)
      IS DISTINCT FROM (said.first_seq, said.last_seq, said.announces, said.first_previous, said.last_sha256,
           said.last_seq - said.first_seq + 1)
      OR length(said.file_sha256) IS DISTINCT FROM 64) THEN
    RAISE EXCEPTION 'the manifest of % is not of what the table holds', p_day USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  INSERT INTO archived_day (day, edge_id, first_seq, last_seq, announces, first_previous, last_sha256, file_sha256)
  SELECT p_day, edge_id, first_seq, last_seq, announces, decode(first_previous, 'hex'), decode(last_sha256, 'hex'),
         decode(file_sha256, 'hex')
  FROM jsonb_to_recordset(p_manifest) AS said (edge_id text, first_seq bigint, last_seq bigint, announces bigint,
    first_previous text, last_sha256 text, file_sha256 text);
  IF to_regclass('journal.' || name) IS NOT NULL THEN
    EXECUTE format('ALTER TABLE journal.segment DETACH PARTITION journal.%I', name);
    EXECUTE format('DROP TABLE journal.%I', name);
  ELSE  -- the day had begun before its partition was made
    ALTER TABLE journal.segment_rest DISABLE TRIGGER append_only;
    DELETE FROM journal.segment_rest WHERE day = p_day;
    ALTER TABLE journal.segment_rest ENABLE ALWAYS TRIGGER append_only;
  END IF;
END $$;

-- An empty table for the segments of an archived day; finish_restore puts it in its place.
CREATE FUNCTION journal.begin_restore(p_day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  name text := 'restoring_' || to_char(p_day, 'YYYYMMDD');
BEGIN
  IF NOT EXISTS (SELECT FROM archived_day WHERE day = p_day) THEN
    RAISE EXCEPTION 'the journal of % is not archived', p_day USING ERRCODE = 'no_data_found';
  END IF;
  EXECUTE format('DROP TABLE IF EXISTS journal.%I', name);
  EXECUTE format('CREATE TABLE journal.%I (LIKE journal.segment INCLUDING ALL)', name);
  EXECUTE format('GRANT INSERT ON journal.%I TO tracker_projector', name);
  RETURN name;
END $$;

-- Puts the day back, if it is to the last segment what was archived.
CREATE FUNCTION journal.finish_restore(p_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  staged text := 'restoring_' || to_char(p_day, 'YYYYMMDD');
  name text := 'segment_' || to_char(p_day, 'YYYYMMDD');
  wrong boolean;
BEGIN
  EXECUTE format('REVOKE ALL ON journal.%I FROM tracker_projector', staged);
  EXECUTE format('LOCK TABLE journal.%I IN ACCESS EXCLUSIVE MODE', staged);
  EXECUTE format(
    'SELECT EXISTS (SELECT FROM (SELECT *, lag(sha256) OVER w AS before, lead(seq) OVER w AS next FROM journal.%I'
    '   WINDOW w AS (PARTITION BY edge_id ORDER BY seq)) s'
    '  LEFT JOIN journal.archived_day a ON a.edge_id = s.edge_id AND a.day = $1'
    '  WHERE s.day <> $1 OR a.day IS NULL OR s.previous <> coalesce(s.before, a.first_previous)'
    '   OR (s.before IS NULL AND s.seq <> a.first_seq)'
    '   OR (s.next IS NULL AND (s.seq, s.sha256) IS DISTINCT FROM (a.last_seq, a.last_sha256))'
    '   OR s.next <> s.seq + 1)'
    ' OR EXISTS (SELECT FROM journal.archived_day a WHERE a.day = $1'
    '   AND NOT EXISTS (SELECT FROM journal.%I s WHERE s.edge_id = a.edge_id))', staged, staged) USING p_day INTO wrong;
  IF wrong THEN
    RAISE EXCEPTION 'these are not the segments that were archived on %', p_day USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  EXECUTE format('ALTER TABLE journal.%I RENAME TO %I', staged, name);
  EXECUTE format('ALTER TABLE journal.segment ATTACH PARTITION journal.%I FOR VALUES FROM (%L) TO (%L)', name, p_day, p_day + 1);
  EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER append_only', name);
  EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal.%I '
                 'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
  EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER no_truncate', name);
  DELETE FROM archived_day WHERE day = p_day;
END $$;

GRANT SELECT ON journal.archived_day TO tracker_app, tracker_projector;
REVOKE EXECUTE ON FUNCTION journal.drop_day(date, int, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION journal.begin_restore(date) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION journal.finish_restore(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.drop_day(date, int, jsonb) TO tracker_projector;
GRANT EXECUTE ON FUNCTION journal.begin_restore(date) TO tracker_projector;
GRANT EXECUTE ON FUNCTION journal.finish_restore(date) TO tracker_projector;
