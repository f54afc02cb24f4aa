CREATE UNIQUE INDEX [cdc_key_0] ON [dbo].[traced] ([Id]);
