CREATE INDEX [cdc_noted] ON [dbo].[cdc_stage_traced] ([Id]);
