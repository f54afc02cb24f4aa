UPDATE t
SET [IsDeleted] = 1
FROM [dbo].[Flats] AS t
WHERE (t.[OrderId] >= CAST(@range_2 AS int) AND (t.[OrderId] > CAST(@range_1 AS int) OR (t.[OrderId] = CAST(@range_1 AS int) AND (t.[ItemId] > CAST(@range_0 AS int) OR (t.[ItemId] = CAST(@range_0 AS int) AND (1 = 1)))))) AND (t.[OrderId] <= CAST(@range_4 AS int) AND (t.[OrderId] < CAST(@range_3 AS int) OR (t.[OrderId] = CAST(@range_3 AS int) AND (1 = 1)))) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_0] AS s WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])) AND t.[IsDeleted] = 0;
