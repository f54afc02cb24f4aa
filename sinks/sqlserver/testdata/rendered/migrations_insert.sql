INSERT INTO [dbo].[cdc_migrations] ([version_id], [statement])
VALUES (@p1, @p2);
