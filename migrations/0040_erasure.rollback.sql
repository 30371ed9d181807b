DROP TABLE read.erasure, read.erasure_proposal;
DROP FUNCTION es.forget_person(uuid);
ALTER TABLE keys.subject RESET (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor);
DROP INDEX keys.subject_destroyed;
