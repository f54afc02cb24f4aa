CREATE TABLE [dbo].[traced] (
    [Id] decimal(20,0) NOT NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NOT NULL,
    [is_deleted] bit NOT NULL DEFAULT 0,
    [_cdc_position] bigint NULL,
    [_cdc_applied_at] datetime2(6) NULL,
    PRIMARY KEY ([Id])
);
