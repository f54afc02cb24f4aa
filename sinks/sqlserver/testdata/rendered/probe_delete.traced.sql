UPDATE t
SET [is_deleted] = 1,
    [_cdc_position] = s.[cdc_seq],
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
INNER JOIN [#cdc_stage_in_3] AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 0 AND s.[cdc_ord] BETWEEN @first AND @last AND t.[is_deleted] = 0;
