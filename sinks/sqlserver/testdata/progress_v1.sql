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
GO
CREATE TABLE [dbo].[cdc_quarantine] (
    [stream] nvarchar(128) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [table_name] nvarchar(260) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [row_key] nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [seq] bigint NOT NULL,
    [reason] nvarchar(max) NOT NULL,
    [at] datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME()
);
CREATE CLUSTERED INDEX [cdc_quarantine_seq] ON [dbo].[cdc_quarantine] ([stream], [table_name], [seq]);
GO
INSERT INTO [dbo].[cdc_progress] ([stream], [table_name], [cover_id], [incarnation], [progress_offset], [progress_id], [seq], [position], [committed_at], [writer], [format_version], [stage], [begun])
VALUES
    (N's', N'', N'', 1, 5, N'm5', 5, N'{"server":"u","gtid":"u:1-5","file":"log.000003","offset":777}', '2026-01-02T03:04:05', N'somebody', 1, N'', 0),
    (N's', N'Simple', N'c', 1, 3, N'm3', 3, N'{"server":"u","gtid":"u:1-3"}', NULL, N'', 1, N'staged', 4);
INSERT INTO [dbo].[cdc_quarantine] ([stream], [table_name], [row_key], [seq], [reason])
VALUES (N's', N'Simple', N'[1]', 5, N'text that is not UTF-8'), (N's', N'Simple', N'[2]', 2, N'text that is not UTF-8');
GO
CREATE TABLE [dbo].[Simples] ([Id] int NOT NULL, [Text] nvarchar(40) NULL, PRIMARY KEY ([Id]));
INSERT INTO [dbo].[Simples] ([Id], [Text]) VALUES (1, N'kept'), (2, N'goes');
CREATE TABLE [dbo].[cdc_stage_Simples] ([Id] int NOT NULL, [Text] nvarchar(40) NULL, PRIMARY KEY ([Id]));
INSERT INTO [dbo].[cdc_stage_Simples] ([Id], [Text]) VALUES (3, N'staged');
GO
EXEC sys.sp_addextendedproperty
    @name = N'cdc', @value = N'stream=s from=Simple v=1',
    @level0type = N'SCHEMA', @level0name = N'dbo', @level1type = N'TABLE', @level1name = N'Simples';
