-- After a COMMIT without an answer: what became of it, and who writes.
SELECT [writer], [incarnation], [progress_offset], [progress_id], [seq]
FROM {progress}
WHERE [stream] = @stream AND [table_name] = N'';
