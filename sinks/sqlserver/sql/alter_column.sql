-- Widens a column, or lets it be NULL.
ALTER TABLE {table} ALTER COLUMN {column};
