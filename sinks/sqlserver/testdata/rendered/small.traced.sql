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
SET [is_deleted] = 1,
    [_cdc_position] = s.[cdc_seq],
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
INNER JOIN @rows3 AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 0 AND t.[is_deleted] = 0;
UPDATE t
SET [Code] = s.[Code],
    [Amount] = s.[Amount],
    [is_deleted] = 0,
    [_cdc_position] = s.[cdc_seq],
    [_cdc_applied_at] = SYSUTCDATETIME()
FROM [dbo].[traced] AS t
INNER JOIN @rows3 AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 1 AND NOT (EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]), t.[Amount] INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]), s.[Amount]) AND t.[is_deleted] = 0);
INSERT INTO [dbo].[traced] ([Id], [Code], [Amount], [is_deleted], [_cdc_position], [_cdc_applied_at])
SELECT s.[Id], s.[Code], s.[Amount], 0, s.[cdc_seq], SYSUTCDATETIME()
FROM @rows3 AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[traced] AS t WHERE t.[Id] = s.[Id]);
COMMIT TRANSACTION;
SELECT 1 AS [applied];
