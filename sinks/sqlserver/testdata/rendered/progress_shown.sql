SELECT TOP (1) [position]
FROM [dbo].[cdc_progress]
WHERE [stream] = @stream AND [table_name] IN (N'', @table_name)
ORDER BY [table_name] DESC;
