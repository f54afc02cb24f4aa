INSERT INTO [dbo].[cdc_stage_Flats] ([OrderId], [ItemId])
SELECT s.[OrderId], s.[ItemId]
FROM [#cdc_stage_in_0] AS s
WHERE s.[cdc_op] <> 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_Flats] AS t WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId]));
