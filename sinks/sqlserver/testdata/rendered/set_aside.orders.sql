UPDATE [#cdc_stage_in_2]
SET [cdc_op] = @op
WHERE [cdc_ord] = @ord;
