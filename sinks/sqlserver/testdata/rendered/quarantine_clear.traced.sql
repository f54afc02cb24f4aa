DELETE t
FROM [dbo].[cdc_quarantine] AS t
INNER JOIN [#cdc_stage_in_3] AS s ON t.[row_key] = s.[cdc_key]
WHERE t.[stream] = @stream AND t.[table_name] = @table_name AND s.[cdc_op] <> 2;
