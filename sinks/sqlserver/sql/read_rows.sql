-- The rows that a part of a table shows.
SELECT {columns}
FROM {table} AS t
WHERE {where};
