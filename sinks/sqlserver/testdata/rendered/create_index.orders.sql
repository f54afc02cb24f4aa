CREATE INDEX [cdc_noted] ON [raw].[cdc_stage_order lines] ([Id]);
