UPDATE t
SET [IsDeleted] = 1
FROM [dbo].[Flats] AS t
INNER JOIN [#cdc_stage_in_0] AS s ON t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])
WHERE s.[cdc_op] = 0 AND t.[IsDeleted] = 0;
