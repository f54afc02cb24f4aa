-- Overwrites rows that differ; those that are right are not touched.
UPDATE t
SET {assignments}
FROM {table} AS t
INNER JOIN {source} AS s ON {match}
WHERE {rows} AND {differs};
