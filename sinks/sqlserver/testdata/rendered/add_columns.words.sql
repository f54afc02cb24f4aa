ALTER TABLE [dbo].[words] ADD [New] int NULL, [IsDeleted] bit NOT NULL DEFAULT 0;
