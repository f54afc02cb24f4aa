-- The key columns of a table's unique indexes.
SELECT i.[name], i.[is_primary_key], i.[has_filter], c.[name] AS [column_name]
FROM sys.indexes AS i
INNER JOIN sys.index_columns AS k ON k.[object_id] = i.[object_id] AND k.[index_id] = i.[index_id]
INNER JOIN sys.columns AS c ON c.[object_id] = k.[object_id] AND c.[column_id] = k.[column_id]
WHERE i.[object_id] = @object_id AND i.[is_unique] = 1 AND i.[is_disabled] = 0 AND k.[key_ordinal] > 0
ORDER BY i.[index_id], k.[key_ordinal];
