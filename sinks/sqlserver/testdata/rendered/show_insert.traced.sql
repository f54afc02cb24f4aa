INSERT INTO [dbo].[traced] ([Id], [Code], [Amount], [is_deleted], [_cdc_position], [_cdc_applied_at])
SELECT s.[Id], s.[Code], s.[Amount], 0, 4711, SYSUTCDATETIME()
FROM [dbo].[cdc_stage_traced] AS s
WHERE 1 = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[traced] AS t WHERE t.[Id] = s.[Id]);
