-- Empties the temporary table of the batch before.
TRUNCATE TABLE {table};
