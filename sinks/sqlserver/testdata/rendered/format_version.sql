SELECT COALESCE(MAX([format_version]), 0) AS [newest]
FROM [dbo].[cdc_progress];
