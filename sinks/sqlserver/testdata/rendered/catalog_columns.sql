SELECT
    c.[name],
    t.[name] AS [type_name],
    c.[max_length],
    c.[precision],
    c.[scale],
    c.[is_nullable],
    CASE WHEN c.[default_object_id] <> 0 THEN 1 ELSE 0 END AS [has_default],
    CASE WHEN c.[is_identity] = 1 OR c.[is_computed] = 1 OR c.[generated_always_type] <> 0 THEN 1 ELSE 0 END AS [is_generated],
    COALESCE(c.[collation_name], N'') AS [collation_name]
FROM sys.columns AS c
INNER JOIN sys.types AS t ON t.[user_type_id] = c.[user_type_id]
WHERE c.[object_id] = @object_id
ORDER BY c.[column_id];
