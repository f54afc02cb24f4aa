UPDATE [#cdc_stage_in_1]
SET [cdc_op] = @op
WHERE [cdc_ord] = @ord;
