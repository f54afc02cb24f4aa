ALTER TABLE [dbo].[traced] ADD [New] int NULL, [is_deleted] bit NOT NULL DEFAULT 0;
