SELECT COUNT(*) AS [rows]
FROM [dbo].[cdc_progress];
