CREATE TABLE [#cdc_stage_in_1] (
    [word] nvarchar(120) COLLATE Latin1_General_100_BIN2 NULL,
    [bytes] varbinary(16) NULL,
    [cdc_op] int NOT NULL,
    [cdc_ord] bigint NOT NULL,
    [cdc_seq] bigint NOT NULL,
    [cdc_key] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL
);
