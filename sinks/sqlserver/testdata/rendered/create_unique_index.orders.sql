CREATE UNIQUE INDEX [cdc_key_0] ON [raw].[order lines] ([Id]);
