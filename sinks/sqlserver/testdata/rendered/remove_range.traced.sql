UPDATE t
SET [is_deleted] = 1,
    [_cdc_position] = 4711,
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
WHERE (t.[Id] >= CAST(@range_1 AS decimal(20,0)) AND (t.[Id] > CAST(@range_0 AS decimal(20,0)) OR (t.[Id] = CAST(@range_0 AS decimal(20,0)) AND (1 = 1)))) AND (t.[Id] <= CAST(@range_3 AS decimal(20,0)) AND (t.[Id] < CAST(@range_2 AS decimal(20,0)) OR (t.[Id] = CAST(@range_2 AS decimal(20,0)) AND (1 = 1)))) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_3] AS s WHERE t.[Id] = s.[Id]) AND t.[is_deleted] = 0;
