-- The visible table, its staging table, or the temporary table that bulk load fills.
CREATE TABLE {table} (
    {columns}
);
