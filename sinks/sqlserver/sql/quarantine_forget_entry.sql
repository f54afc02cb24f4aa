-- An operator takes one entry off the list, unless it has been replaced by a newer one.
DELETE FROM {quarantine}
WHERE [stream] = @stream AND [table_name] = @table_name AND [row_key] = @row_key AND [seq] = @seq;
