-- Whether a reader may use a snapshot that no writer waits for.
SELECT d.[snapshot_isolation_state]
FROM sys.databases AS d
WHERE d.[name] = DB_NAME();
