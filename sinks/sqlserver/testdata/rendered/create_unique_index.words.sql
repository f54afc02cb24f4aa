CREATE UNIQUE INDEX [cdc_key_0] ON [dbo].[words] ([word], [bytes]);
