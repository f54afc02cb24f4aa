CREATE TABLE [raw].[order lines] (
    [Id] decimal(20,0) NOT NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NOT NULL,
    PRIMARY KEY ([Id])
);
