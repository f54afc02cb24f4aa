ALTER TABLE [raw].[order lines] ADD [New] int NULL, [IsDeleted] bit NOT NULL DEFAULT 0;
