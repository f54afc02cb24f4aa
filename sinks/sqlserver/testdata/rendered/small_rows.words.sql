DECLARE @rows1 TABLE (
    [word] nvarchar(120) COLLATE Latin1_General_100_BIN2 NULL,
    [bytes] varbinary(16) NULL,
    [cdc_op] int NULL
);
INSERT INTO @rows1 ([word], [bytes], [cdc_op])
VALUES
    (@t1r0c0, @t1r0c1, @t1r0c2),
    (@t1r1c0, @t1r1c1, @t1r1c2);
