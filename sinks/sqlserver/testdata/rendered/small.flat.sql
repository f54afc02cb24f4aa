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
BEGIN TRANSACTION;
UPDATE [dbo].[cdc_progress]
SET
    [incarnation] = @incarnation,
    [progress_offset] = @progress_offset,
    [progress_id] = @progress_id,
    [seq] = @seq,
    [position] = @position,
    [committed_at] = @committed_at,
    [applied_at] = SYSUTCDATETIME(),
    [format_version] = @format_version
WHERE [stream] = @stream AND [table_name] = N'' AND [writer] = @writer AND [progress_id] = @from_id;
IF @@ROWCOUNT = 0
BEGIN
    ROLLBACK TRANSACTION;
    RETURN;
END;
UPDATE t
SET [IsDeleted] = 1
FROM [dbo].[Flats] AS t
INNER JOIN @rows0 AS s ON t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])
WHERE s.[cdc_op] = 0 AND t.[IsDeleted] = 0;
UPDATE t
SET [Name] = s.[Name],
    [Amount] = s.[Amount],
    [At] = s.[At],
    [Raw] = s.[Raw],
    [IsDeleted] = 0
FROM [dbo].[Flats] AS t
INNER JOIN @rows0 AS s ON t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])
WHERE s.[cdc_op] = 1 AND NOT (EXISTS (SELECT t.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Name]), t.[Amount], t.[At], t.[Raw], DATALENGTH(t.[Raw]) INTERSECT SELECT s.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Name]), s.[Amount], s.[At], s.[Raw], DATALENGTH(s.[Raw])) AND t.[IsDeleted] = 0);
INSERT INTO [dbo].[Flats] ([OrderId], [ItemId], [Name], [Amount], [At], [Raw], [IsDeleted])
SELECT s.[OrderId], s.[ItemId], s.[Name], s.[Amount], s.[At], s.[Raw], 0
FROM @rows0 AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[Flats] AS t WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId]));
COMMIT TRANSACTION;
SELECT 1 AS [applied];
