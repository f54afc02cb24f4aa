TRUNCATE TABLE [#cdc_stage_in_0];
