-- Gives a refused row the operation that this calls for.
UPDATE {inbox}
SET [cdc_op] = @op
WHERE [cdc_ord] = @ord;
