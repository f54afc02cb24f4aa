-- What was applied, the latest first.
SELECT [version_id], [tstamp], [statement]
FROM {migrations}
ORDER BY [version_id] DESC;
