INSERT INTO [raw].[order lines] ([Id], [Code], [Amount])
SELECT s.[Id], s.[Code], s.[Amount]
FROM [#cdc_stage_in_2] AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [raw].[order lines] AS t WHERE t.[Id] = s.[Id]);
