DECLARE @rows1 TABLE (
    [word] nvarchar(120) COLLATE Latin1_General_100_BIN2 NULL,
    [bytes] varbinary(16) NULL,
    [cdc_op] int NULL
);
INSERT INTO @rows1 ([word], [bytes], [cdc_op])
VALUES
    (@t1r0c0, @t1r0c1, @t1r0c2),
    (@t1r1c0, @t1r1c1, @t1r1c2);
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
FROM [dbo].[words] AS t
INNER JOIN @rows1 AS s ON t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes])
WHERE s.[cdc_op] = 0;
INSERT INTO [dbo].[words] ([word], [bytes])
SELECT s.[word], s.[bytes]
FROM @rows1 AS s
WHERE s.[cdc_op] = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[words] AS t WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
COMMIT TRANSACTION;
SELECT 1 AS [applied];
