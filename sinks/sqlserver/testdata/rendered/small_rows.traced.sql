DECLARE @rows3 TABLE (
    [Id] decimal(20,0) NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NULL,
    [cdc_op] int NULL,
    [cdc_seq] bigint NULL
);
INSERT INTO @rows3 ([Id], [Code], [Amount], [cdc_op], [cdc_seq])
VALUES
    (@t3r0c0, @t3r0c1, @t3r0c2, @t3r0c3, @t3r0c4),
    (@t3r1c0, @t3r1c1, @t3r1c2, @t3r1c3, @t3r1c4);
