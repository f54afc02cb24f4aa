SELECT [table_name], [cover_id], [stage], [begun], [incarnation], [progress_offset], [progress_id], [seq], [position]
FROM [dbo].[cdc_progress]
WHERE [stream] = @stream;
