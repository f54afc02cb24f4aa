ALTER TABLE [dbo].[traced] ALTER COLUMN [Name] nvarchar(90) COLLATE Latin1_General_100_BIN2 NULL;
