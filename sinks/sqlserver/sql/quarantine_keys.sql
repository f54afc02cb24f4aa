-- The listed keys of a table from a Seq on.
SELECT [row_key]
FROM {quarantine}
WHERE [stream] = @stream AND [table_name] = @table_name AND [seq] >= @seq;
