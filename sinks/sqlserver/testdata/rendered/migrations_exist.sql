SELECT CASE WHEN OBJECT_ID(N'[dbo].[cdc_migrations]', N'U') IS NULL THEN 0 ELSE 1 END AS [found];
