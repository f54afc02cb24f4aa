CREATE UNIQUE INDEX [cdc_key_0] ON [raw].[order]]s] ([Id]);
