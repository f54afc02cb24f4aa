-- What cdc_quarantine lists of a stream.
SELECT [table_name], [row_key], [seq], [reason], [at]
FROM {quarantine}
WHERE [stream] = @stream
ORDER BY [table_name], [row_key];
