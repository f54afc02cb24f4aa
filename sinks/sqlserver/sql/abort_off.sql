-- While rows that are refused are looked for: an error ends its statement, the transaction goes on.
SET XACT_ABORT OFF;
