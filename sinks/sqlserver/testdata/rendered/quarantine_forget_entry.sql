DELETE FROM [dbo].[cdc_quarantine]
WHERE [stream] = @stream AND [table_name] = @table_name AND [row_key] = @row_key AND [seq] = @seq;
