UPDATE [dbo].[cdc_progress] WITH (UPDLOCK, HOLDLOCK)
SET [writer] = @writer
WHERE [stream] = @stream AND [table_name] = N'';
IF @@ROWCOUNT = 0
    INSERT INTO [dbo].[cdc_progress] ([stream], [table_name], [writer], [format_version])
    VALUES (@stream, N'', @writer, @format_version);
