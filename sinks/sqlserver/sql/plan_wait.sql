-- A table that gets the stream's mark by a planned statement waits to be filled.
DELETE FROM {progress}
WHERE [stream] = {stream} AND [table_name] = {table_name};
INSERT INTO {progress} ([stream], [table_name], [stage], [format_version])
VALUES ({stream}, {table_name}, {stage}, {format_version});
