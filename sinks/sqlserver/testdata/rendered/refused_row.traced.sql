SELECT s.[cdc_seq], s.[cdc_op], s.[Id]
FROM [#cdc_stage_in_3] AS s
WHERE s.[cdc_ord] = @ord;
