-- Whether a table holds a row.
SELECT COUNT(*) AS [rows]
FROM (SELECT TOP (1) 1 AS [one] FROM {table}) AS t;
