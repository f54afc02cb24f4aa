SELECT
    CAST(SERVERPROPERTY('ProductMajorVersion') AS int) AS [major_version],
    CAST(SERVERPROPERTY('EngineEdition') AS int) AS [engine_edition],
    d.[snapshot_isolation_state],
    d.[is_read_committed_snapshot_on]
FROM sys.databases AS d
WHERE d.[name] = DB_NAME();
