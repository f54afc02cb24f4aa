UPDATE [#cdc_stage_in_0]
SET [cdc_op] = @op
WHERE [cdc_ord] = @ord;
