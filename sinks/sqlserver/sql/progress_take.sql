-- Takes the right to write. The row's lock makes it wait for a batch that another process is just committing.
UPDATE {progress} WITH (UPDLOCK, HOLDLOCK)
SET [writer] = @writer
WHERE [stream] = @stream AND [table_name] = N'';
IF @@ROWCOUNT = 0
    INSERT INTO {progress} ([stream], [table_name], [writer], [format_version])
    VALUES (@stream, N'', @writer, @format_version);
