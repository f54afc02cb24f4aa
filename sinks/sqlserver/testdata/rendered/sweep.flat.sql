UPDATE t
SET [IsDeleted] = 1
FROM [dbo].[Flats] AS t
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_Flats] AS s WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])) AND t.[IsDeleted] = 0;
