DECLARE @rows0 TABLE (
    [OrderId] int NULL,
    [ItemId] int NULL,
    [Name] nvarchar(90) NULL,
    [Amount] decimal(10,2) NULL,
    [At] datetime2(6) NULL,
    [Raw] varbinary(max) NULL,
    [cdc_op] int NULL
);
INSERT INTO @rows0 ([OrderId], [ItemId], [Name], [Amount], [At], [Raw], [cdc_op])
VALUES
    (@t0r0c0, @t0r0c1, @t0r0c2, @t0r0c3, @t0r0c4, @t0r0c5, @t0r0c6),
    (@t0r1c0, @t0r1c1, @t0r1c2, @t0r1c3, @t0r1c4, @t0r1c5, @t0r1c6);
