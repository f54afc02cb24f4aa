UPDATE t
SET [is_deleted] = 1,
    [_cdc_position] = 4711,
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_traced] AS s WHERE t.[Id] = s.[Id]) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_3] AS s WHERE s.[cdc_op] = 2 AND t.[Id] = s.[Id]) AND t.[is_deleted] = 0;
