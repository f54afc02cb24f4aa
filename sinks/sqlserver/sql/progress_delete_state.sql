-- A table follows the stream again.
DELETE FROM {progress}
WHERE [stream] = @stream AND [table_name] = @table_name;
