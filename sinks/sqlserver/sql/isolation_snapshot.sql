-- A reader sees one moment and nobody waits.
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
