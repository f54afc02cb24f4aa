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
DELETE t
FROM [raw].[order lines] AS t
INNER JOIN @rows2 AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 0;
DELETE t
FROM [raw].[order lines] AS t
INNER JOIN @rows2 AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]) INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]));
UPDATE t
SET [Code] = s.[Code],
    [Amount] = s.[Amount]
FROM [raw].[order lines] AS t
INNER JOIN @rows2 AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 1 AND NOT (EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]), t.[Amount] INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]), s.[Amount]));
INSERT INTO [raw].[order lines] ([Id], [Code], [Amount])
SELECT s.[Id], s.[Code], s.[Amount]
FROM @rows2 AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [raw].[order lines] AS t WHERE t.[Id] = s.[Id]);
COMMIT TRANSACTION;
SELECT 1 AS [applied];
