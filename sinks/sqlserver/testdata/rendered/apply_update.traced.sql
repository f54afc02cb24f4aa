UPDATE t
SET [Code] = s.[Code],
    [Amount] = s.[Amount],
    [is_deleted] = 0,
    [_cdc_position] = s.[cdc_seq],
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
INNER JOIN [#cdc_stage_in_3] AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 1 AND NOT (EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]), t.[Amount] INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]), s.[Amount]) AND t.[is_deleted] = 0);
