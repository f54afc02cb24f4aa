-- Where what a table shows stands: at its own boundary while it has one, else at the stream's.
SELECT TOP (1) [position]
FROM {progress}
WHERE [stream] = @stream AND [table_name] IN (N'', @table_name)
ORDER BY [table_name] DESC;
