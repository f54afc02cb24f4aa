CREATE INDEX [cdc_noted] ON [dbo].[cdc_stage_Flats] ([OrderId], [ItemId]);
