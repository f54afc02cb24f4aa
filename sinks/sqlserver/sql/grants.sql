-- Which of the rights that the sink needs this user has: 1, 0, or NULL when there is no such schema.
SELECT
    HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') AS [create_table],
    HAS_PERMS_BY_NAME(@schema, N'SCHEMA', N'ALTER') AS [alter],
    HAS_PERMS_BY_NAME(@schema, N'SCHEMA', N'SELECT') AS [select],
    HAS_PERMS_BY_NAME(@schema, N'SCHEMA', N'INSERT') AS [insert],
    HAS_PERMS_BY_NAME(@schema, N'SCHEMA', N'UPDATE') AS [update],
    HAS_PERMS_BY_NAME(@schema, N'SCHEMA', N'DELETE') AS [delete],
    USER_NAME() AS [user_name];
