-- Who has the right to write.
SELECT [writer]
FROM {progress}
WHERE [stream] = @stream AND [table_name] = N'';
