DELETE FROM [dbo].[cdc_progress]
WHERE [stream] = @stream AND [table_name] = @table_name;
