-- Tables whose name says that they are the sink's own: bookkeeping and staging.
SELECT n.[name] AS [schema_name], o.[name]
FROM sys.objects AS o
INNER JOIN sys.schemas AS n ON n.[schema_id] = o.[schema_id]
WHERE o.[type] = N'U' AND o.[name] LIKE N'cdc[_]%'
ORDER BY n.[name], o.[name];
