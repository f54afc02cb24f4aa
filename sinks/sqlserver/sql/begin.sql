-- A batch is one transaction.
BEGIN TRANSACTION;
