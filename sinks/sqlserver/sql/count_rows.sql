-- Whether the bookkeeping serves another stream.
SELECT COUNT(*) AS [rows]
FROM {table};
