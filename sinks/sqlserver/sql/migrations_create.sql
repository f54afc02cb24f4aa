-- cdc_migrations: the statements that changed the shape of this destination's tables. Times are UTC.
CREATE TABLE {migrations} (
    [version_id] bigint NOT NULL PRIMARY KEY,
    [is_applied] bit NOT NULL DEFAULT 1,
    [tstamp] datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME(),
    [statement] nvarchar(max) NOT NULL
);
