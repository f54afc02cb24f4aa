SELECT s.[cdc_seq], s.[cdc_op], s.[word], s.[bytes]
FROM [#cdc_stage_in_1] AS s
WHERE s.[cdc_ord] = @ord;
