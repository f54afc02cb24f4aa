-- A chunk tells of each key of its range anew.
DELETE FROM {quarantine}
WHERE [stream] = @stream AND [table_name] = @table_name AND [row_key] = @row_key;
