DROP FUNCTION es.take_places(text[], text, int);
