-- A small batch in one message: rows that came as parameters, the stream's row, the changes, in one transaction. It
-- begins and ends here, because a call must leave as many open transactions as it found.
{rows}
BEGIN TRANSACTION;
{fence}
IF @@ROWCOUNT = 0
BEGIN
    ROLLBACK TRANSACTION;
    RETURN;
END;
{changes}
COMMIT TRANSACTION;
SELECT 1 AS [applied];
