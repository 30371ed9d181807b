-- As in 0140, and what came late for an archived day may lie in a partition of its own: a restore of the site makes one for
-- every day that has something in the table.
CREATE OR REPLACE FUNCTION journal.finish_restore(p_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = journal, pg_temp AS $$
DECLARE
  staged text := 'restoring_' || to_char(p_day, 'YYYYMMDD');
  name text := 'segment_' || to_char(p_day, 'YYYYMMDD');
  columns CONSTANT text := 'edge_id, seq, day, announces, first_at, last_at, sha256, previous, data, shipped_at, encrypted_sha256';
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
  LOCK TABLE journal.segment_rest IN ACCESS EXCLUSIVE MODE;  -- nothing more comes late meanwhile
  EXECUTE format('INSERT INTO journal.%I (%s) SELECT %s FROM journal.segment WHERE day = $1', staged, columns, columns)
    USING p_day;
  IF to_regclass('journal.' || name) IS NOT NULL THEN
    EXECUTE format('ALTER TABLE journal.segment DETACH PARTITION journal.%I', name);
    EXECUTE format('DROP TABLE journal.%I', name);
  ELSIF EXISTS (SELECT FROM journal.segment_rest WHERE day = p_day) THEN
    ALTER TABLE journal.segment_rest DISABLE TRIGGER append_only;
    DELETE FROM journal.segment_rest WHERE day = p_day;
    ALTER TABLE journal.segment_rest ENABLE ALWAYS TRIGGER append_only;
  END IF;
  EXECUTE format('ALTER TABLE journal.%I RENAME TO %I', staged, name);
  EXECUTE format('ALTER TABLE journal.segment ATTACH PARTITION journal.%I FOR VALUES FROM (%L) TO (%L)', name, p_day, p_day + 1);
  EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER append_only', name);
  EXECUTE format('CREATE TRIGGER no_truncate BEFORE TRUNCATE ON journal.%I '
                 'FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', name);
  EXECUTE format('ALTER TABLE journal.%I ENABLE ALWAYS TRIGGER no_truncate', name);
  DELETE FROM archived_day WHERE day = p_day;
END $$;
