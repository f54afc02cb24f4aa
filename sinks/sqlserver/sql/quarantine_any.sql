-- Whether keys of a table are listed.
SELECT COUNT(*) AS [listed]
FROM {quarantine}
WHERE [stream] = @stream AND [table_name] = @table_name;
