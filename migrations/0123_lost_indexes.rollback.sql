-- The indexes are those of the migrations before: there is nothing to take back.
SELECT 1;
