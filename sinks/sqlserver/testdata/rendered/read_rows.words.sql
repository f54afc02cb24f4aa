SELECT t.[word], t.[bytes]
FROM [dbo].[words] AS t
WHERE (t.[word] >= CAST(@range_0 AS nvarchar(120))) AND (t.[word] < CAST(@range_1 AS nvarchar(120)));
