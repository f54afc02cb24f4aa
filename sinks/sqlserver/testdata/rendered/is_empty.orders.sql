SELECT COUNT(*) AS [rows]
FROM (SELECT TOP (1) 1 AS [one] FROM [raw].[order lines]) AS t;
