-- Removes the rows whose keys are gone.
DELETE t
FROM {table} AS t
INNER JOIN {source} AS s ON {match}
WHERE {rows};
