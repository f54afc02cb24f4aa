-- A reader sees one moment: the sink waits for the row of cdc_progress that it has read.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
