-- A good version or a delete clears a key.
DELETE t
FROM {quarantine} AS t
INNER JOIN {inbox} AS s ON t.[row_key] = s.[cdc_key]
WHERE t.[stream] = @stream AND t.[table_name] = @table_name AND s.[cdc_op] <> 2;
