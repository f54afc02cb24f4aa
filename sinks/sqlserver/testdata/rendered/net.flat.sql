DELETE t
FROM [#cdc_stage_in_0] AS t
INNER JOIN [#cdc_stage_in_0] AS s ON t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])
WHERE t.[cdc_ord] < s.[cdc_ord];
