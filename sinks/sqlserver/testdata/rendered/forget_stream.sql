DELETE FROM [dbo].[cdc_progress]
WHERE [stream] = @stream;
