INSERT INTO [dbo].[traced] ([Id], [Code], [Amount], [is_deleted], [_cdc_position], [_cdc_applied_at])
SELECT s.[Id], s.[Code], s.[Amount], 0, s.[cdc_seq], SYSUTCDATETIME()
FROM [#cdc_stage_in_3] AS s
WHERE s.[cdc_op] = 1 AND s.[cdc_ord] BETWEEN @first AND @last AND NOT EXISTS (SELECT 1 FROM [dbo].[traced] AS t WHERE t.[Id] = s.[Id]);
