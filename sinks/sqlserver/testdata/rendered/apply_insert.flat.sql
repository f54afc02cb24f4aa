INSERT INTO [dbo].[Flats] ([OrderId], [ItemId], [Name], [Amount], [At], [Raw], [IsDeleted])
SELECT s.[OrderId], s.[ItemId], s.[Name], s.[Amount], s.[At], s.[Raw], 0
FROM [#cdc_stage_in_0] AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[Flats] AS t WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId]));
