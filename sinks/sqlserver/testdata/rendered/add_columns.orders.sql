ALTER TABLE [raw].[order]]s] ADD [New] int NULL, [IsDeleted] bit NOT NULL DEFAULT 0;
