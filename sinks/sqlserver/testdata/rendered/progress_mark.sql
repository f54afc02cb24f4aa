SELECT [writer], [incarnation], [progress_offset], [progress_id], [seq]
FROM [dbo].[cdc_progress]
WHERE [stream] = @stream AND [table_name] = N'';
