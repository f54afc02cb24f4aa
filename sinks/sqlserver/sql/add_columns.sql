-- Columns that the source has and the table lacks.
ALTER TABLE {table} ADD {columns};
