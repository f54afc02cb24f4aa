CREATE TABLE [#cdc_stage_in_0] (
    [OrderId] int NULL,
    [ItemId] int NULL,
    [Name] nvarchar(90) NULL,
    [Amount] decimal(10,2) NULL,
    [At] datetime2(6) NULL,
    [Raw] varbinary(max) NULL,
    [cdc_op] int NOT NULL,
    [cdc_ord] bigint NOT NULL,
    [cdc_seq] bigint NOT NULL,
    [cdc_key] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL
);
