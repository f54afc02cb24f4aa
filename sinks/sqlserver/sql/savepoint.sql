-- A place to come back to while rows that are refused are looked for.
SAVE TRANSACTION {savepoint};
