DELETE FROM [dbo].[cdc_progress]
WHERE [stream] = N'shop-views' AND [table_name] = N'Flat';
INSERT INTO [dbo].[cdc_progress] ([stream], [table_name], [stage], [format_version])
VALUES (N'shop-views', N'Flat', N'waiting', 1);
