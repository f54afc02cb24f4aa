DECLARE @rows2 TABLE (
    [Id] decimal(20,0) NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NULL,
    [cdc_op] int NULL
);
INSERT INTO @rows2 ([Id], [Code], [Amount], [cdc_op])
VALUES
    (@t2r0c0, @t2r0c1, @t2r0c2, @t2r0c3),
    (@t2r1c0, @t2r1c1, @t2r1c2, @t2r1c3);
