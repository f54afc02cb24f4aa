-- The usual setting: an error ends the whole transaction.
SET XACT_ABORT ON;
