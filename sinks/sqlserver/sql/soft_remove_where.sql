-- Marks what a part of the table holds and a chunk, a staging table or a list of noted keys does not.
UPDATE t
SET {marks}
FROM {table} AS t
WHERE {where} AND t.{mark} = 0;
