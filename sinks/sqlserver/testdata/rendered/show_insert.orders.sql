INSERT INTO [raw].[order]]s] ([Id], [Code], [Amount])
SELECT s.[Id], s.[Code], s.[Amount]
FROM [raw].[cdc_stage_order]]s] AS s
WHERE 1 = 1 AND NOT EXISTS (SELECT 1 FROM [raw].[order]]s] AS t WHERE t.[Id] = s.[Id]);
