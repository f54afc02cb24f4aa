-- cdc_quarantine: the keys of rows that this destination refused. A key's text may be longer than an index takes, so
-- nothing but the order of writing keeps it unique. Times are UTC.
CREATE TABLE {quarantine} (
    [stream] nvarchar(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [table_name] nvarchar(260) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [row_key] nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [seq] bigint NOT NULL,
    [reason] nvarchar(max) NOT NULL,
    [at] datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME()
);
CREATE CLUSTERED INDEX [cdc_quarantine_seq] ON {quarantine} ([stream], [table_name], [seq]);
