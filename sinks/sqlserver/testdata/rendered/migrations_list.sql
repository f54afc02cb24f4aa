SELECT [version_id], [tstamp], [statement]
FROM [dbo].[cdc_migrations]
ORDER BY [version_id] DESC;
