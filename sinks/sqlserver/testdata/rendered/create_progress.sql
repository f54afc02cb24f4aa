CREATE TABLE [dbo].[cdc_progress] (
    [stream] nvarchar(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [table_name] nvarchar(260) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [cover_id] nvarchar(100) COLLATE Latin1_General_100_BIN2 NOT NULL DEFAULT N'',
    [incarnation] bigint NOT NULL DEFAULT 0,
    [progress_offset] bigint NOT NULL DEFAULT 0,
    [progress_id] nvarchar(100) COLLATE Latin1_General_100_BIN2 NOT NULL DEFAULT N'',
    [seq] bigint NOT NULL DEFAULT 0,
    [position] nvarchar(max) NOT NULL DEFAULT N'{}',
    [committed_at] datetime2(6) NULL,
    [applied_at] datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME(),
    [writer] nvarchar(100) COLLATE Latin1_General_100_BIN2 NOT NULL DEFAULT N'',
    [format_version] int NOT NULL,
    [stage] nvarchar(20) COLLATE Latin1_General_100_BIN2 NOT NULL DEFAULT N'',
    [begun] bigint NOT NULL DEFAULT 0,
    PRIMARY KEY ([stream], [table_name])
);
