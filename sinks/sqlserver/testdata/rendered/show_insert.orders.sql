INSERT INTO [raw].[order lines] ([Id], [Code], [Amount])
SELECT s.[Id], s.[Code], s.[Amount]
FROM [raw].[cdc_stage_order lines] AS s
WHERE 1 = 1 AND NOT EXISTS (SELECT 1 FROM [raw].[order lines] AS t WHERE t.[Id] = s.[Id]);
