-- An index that helps to find noted keys.
CREATE INDEX {index} ON {table} ({columns});
