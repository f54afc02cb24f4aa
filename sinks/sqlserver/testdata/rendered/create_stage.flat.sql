CREATE TABLE [dbo].[cdc_stage_Flats] (
    [OrderId] int NOT NULL,
    [ItemId] int NULL,
    [Name] nvarchar(90) NULL,
    [Amount] decimal(10,2) NULL,
    [At] datetime2(6) NULL,
    [Raw] varbinary(max) NULL,
    UNIQUE CLUSTERED ([OrderId], [ItemId])
);
