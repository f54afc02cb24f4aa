SELECT COUNT(*) AS [rows]
FROM (SELECT TOP (1) 1 AS [one] FROM [dbo].[traced]) AS t;
