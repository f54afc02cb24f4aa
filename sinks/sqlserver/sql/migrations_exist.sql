-- Whether there is a table of versions.
SELECT CASE WHEN OBJECT_ID({name}, N'U') IS NULL THEN 0 ELSE 1 END AS [found];
