-- The latest version; nobody else adds one until the transaction ends.
SELECT MAX([version_id]) AS [version_id]
FROM {migrations} WITH (TABLOCKX, HOLDLOCK);
