ALTER TABLE [dbo].[Flats] ADD [New] int NULL, [IsDeleted] bit NOT NULL DEFAULT 0;
