-- Marks the rows whose keys are gone.
UPDATE t
SET {marks}
FROM {table} AS t
INNER JOIN {source} AS s ON {match}
WHERE {rows} AND t.{mark} = 0;
