-- The key of a table that was adopted without one. NULL equals NULL in it.
CREATE UNIQUE INDEX {index} ON {table} ({columns});
