SELECT [writer]
FROM [dbo].[cdc_progress]
WHERE [stream] = @stream AND [table_name] = N'';
