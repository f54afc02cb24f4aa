-- Marks the rows whose keys are gone.
UPDATE t
SET [IsDeleted] = 1
FROM {table} AS t
INNER JOIN {source} AS s ON {match}
WHERE {rows} AND t.[IsDeleted] = 0;
