-- Inserts the rows that are not there.
INSERT INTO {table} ({columns})
SELECT {values}
FROM {source} AS s
WHERE {rows} AND NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {match});
