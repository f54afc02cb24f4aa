-- Lists a key that this destination refused.
UPDATE {quarantine}
SET [seq] = @seq, [reason] = @reason, [at] = SYSUTCDATETIME()
WHERE [stream] = @stream AND [table_name] = @table_name AND [row_key] = @row_key;
IF @@ROWCOUNT = 0
    INSERT INTO {quarantine} ([stream], [table_name], [row_key], [seq], [reason])
    VALUES (@stream, @table_name, @row_key, @seq, @reason);
