INSERT INTO [raw].[cdc_stage_order lines] ([Id])
SELECT s.[Id]
FROM [#cdc_stage_in_2] AS s
WHERE s.[cdc_op] <> 0 AND NOT EXISTS (SELECT 1 FROM [raw].[cdc_stage_order lines] AS t WHERE t.[Id] = s.[Id]);
