-- Removes what a part of the table holds and a chunk, a staging table or a list of noted keys does not.
DELETE t
FROM {table} AS t
WHERE {where};
