-- The key of a row that the table refuses.
SELECT s.[cdc_seq], s.[cdc_op], {keys}
FROM {inbox} AS s
WHERE s.[cdc_ord] = @ord;
