-- A removed sink's rows in the bookkeeping.
DELETE FROM {table}
WHERE [stream] = @stream;
