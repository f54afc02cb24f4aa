SELECT o.[object_id], o.[type], CAST(p.[value] AS nvarchar(4000)) AS [owner]
FROM sys.objects AS o
INNER JOIN sys.schemas AS n ON n.[schema_id] = o.[schema_id]
LEFT OUTER JOIN sys.extended_properties AS p
    ON p.[class] = 1 AND p.[major_id] = o.[object_id] AND p.[minor_id] = 0 AND p.[name] = N'cdc'
WHERE n.[name] = @schema AND o.[name] = @name AND o.[type] IN (N'U', N'V', N'SN');
