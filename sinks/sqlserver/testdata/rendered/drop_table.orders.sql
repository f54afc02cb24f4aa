DROP TABLE IF EXISTS [raw].[cdc_stage_order lines];
