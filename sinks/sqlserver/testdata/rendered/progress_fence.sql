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
