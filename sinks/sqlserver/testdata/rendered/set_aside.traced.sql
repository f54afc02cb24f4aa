UPDATE [#cdc_stage_in_3]
SET [cdc_op] = @op
WHERE [cdc_ord] = @ord;
