SELECT n.[name] AS [schema_name], o.[name], CAST(p.[value] AS nvarchar(4000)) AS [owner]
FROM sys.extended_properties AS p
INNER JOIN sys.objects AS o ON o.[object_id] = p.[major_id]
INNER JOIN sys.schemas AS n ON n.[schema_id] = o.[schema_id]
WHERE p.[class] = 1 AND p.[minor_id] = 0 AND p.[name] = N'cdc' AND o.[type] = N'U'
ORDER BY n.[name], o.[name];
