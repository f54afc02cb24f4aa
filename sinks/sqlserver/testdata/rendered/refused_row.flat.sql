SELECT s.[cdc_seq], s.[cdc_op], s.[OrderId], s.[ItemId]
FROM [#cdc_stage_in_0] AS s
WHERE s.[cdc_ord] = @ord;
