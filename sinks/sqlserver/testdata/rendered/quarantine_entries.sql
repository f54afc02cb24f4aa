SELECT [table_name], [row_key], [seq], [reason], [at]
FROM [dbo].[cdc_quarantine]
WHERE [stream] = @stream
ORDER BY [table_name], [row_key];
