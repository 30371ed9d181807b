DROP FUNCTION es.hold_appends();
