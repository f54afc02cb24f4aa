INSERT INTO [dbo].[cdc_stage_traced] ([Id])
SELECT s.[Id]
FROM [#cdc_stage_in_3] AS s
WHERE s.[cdc_op] <> 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_traced] AS t WHERE t.[Id] = s.[Id]);
