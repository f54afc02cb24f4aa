-- Drops a staging table, or what a removed sink has left.
DROP TABLE IF EXISTS {table};
