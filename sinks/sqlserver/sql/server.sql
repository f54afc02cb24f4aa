-- What server and database these are. Major version 14 is SQL Server 2017; engine edition 5 is Azure SQL.
SELECT
    CAST(SERVERPROPERTY('ProductMajorVersion') AS int) AS [major_version],
    CAST(SERVERPROPERTY('EngineEdition') AS int) AS [engine_edition],
    d.[snapshot_isolation_state],
    d.[is_read_committed_snapshot_on]
FROM sys.databases AS d
WHERE d.[name] = DB_NAME();
