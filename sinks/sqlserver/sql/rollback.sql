-- Ends what is left of a transaction after an error; the server may have ended it already.
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;
