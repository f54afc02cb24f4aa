-- Takes back what was done since the savepoint; fails if the error has ended the transaction.
ROLLBACK TRANSACTION {savepoint};
