SELECT MAX([version_id]) AS [version_id]
FROM [dbo].[cdc_migrations] WITH (TABLOCKX, HOLDLOCK);
