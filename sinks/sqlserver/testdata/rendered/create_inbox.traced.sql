CREATE TABLE [#cdc_stage_in_3] (
    [Id] decimal(20,0) NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NULL,
    [cdc_op] int NOT NULL,
    [cdc_ord] bigint NOT NULL,
    [cdc_seq] bigint NOT NULL,
    [cdc_key] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL
);
