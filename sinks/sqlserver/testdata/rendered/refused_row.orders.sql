SELECT s.[cdc_seq], s.[cdc_op], s.[Id]
FROM [#cdc_stage_in_2] AS s
WHERE s.[cdc_ord] = @ord;
