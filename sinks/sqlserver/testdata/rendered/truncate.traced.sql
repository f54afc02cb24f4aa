TRUNCATE TABLE [#cdc_stage_in_3];
