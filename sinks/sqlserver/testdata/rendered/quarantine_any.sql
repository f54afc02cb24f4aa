SELECT COUNT(*) AS [listed]
FROM [dbo].[cdc_quarantine]
WHERE [stream] = @stream AND [table_name] = @table_name;
