DROP TABLE IF EXISTS [dbo].[cdc_stage_traced];
