UPDATE [dbo].[cdc_progress]
SET
    [cover_id] = @cover_id,
    [stage] = @stage,
    [begun] = @begun,
    [incarnation] = @incarnation,
    [progress_offset] = @progress_offset,
    [progress_id] = @progress_id,
    [seq] = @seq,
    [position] = @position,
    [applied_at] = SYSUTCDATETIME(),
    [format_version] = @format_version
WHERE [stream] = @stream AND [table_name] = @table_name;
IF @@ROWCOUNT = 0
    INSERT INTO [dbo].[cdc_progress] (
        [stream], [table_name], [cover_id], [stage], [begun], [incarnation], [progress_offset], [progress_id], [seq],
        [position], [format_version]
    )
    VALUES (
        @stream, @table_name, @cover_id, @stage, @begun, @incarnation, @progress_offset, @progress_id, @seq,
        @position, @format_version
    );
