UPDATE t
SET [Code] = s.[Code],
    [Amount] = s.[Amount],
    [is_deleted] = 0,
    [_cdc_position] = 4711,
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
INNER JOIN [dbo].[cdc_stage_traced] AS s ON t.[Id] = s.[Id]
WHERE 1 = 1 AND NOT (EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]), t.[Amount] INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]), s.[Amount]) AND t.[is_deleted] = 0);
