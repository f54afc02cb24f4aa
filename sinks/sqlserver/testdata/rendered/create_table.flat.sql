CREATE TABLE [dbo].[Flats] (
    [OrderId] int NOT NULL,
    [ItemId] int NULL,
    [Name] nvarchar(90) NULL,
    [Amount] decimal(10,2) NULL,
    [At] datetime2(6) NULL,
    [Raw] varbinary(max) NULL,
    [IsDeleted] bit NOT NULL DEFAULT 0,
    UNIQUE CLUSTERED ([OrderId], [ItemId])
);
