-- A cover that is complete has told of every key since it began.
DELETE FROM {quarantine}
WHERE [stream] = @stream AND [table_name] = @table_name AND [seq] < @seq;
