-- The stream's Mark and the states of its tables.
SELECT [table_name], [cover_id], [stage], [begun], [incarnation], [progress_offset], [progress_id], [seq], [position]
FROM {progress}
WHERE [stream] = @stream;
