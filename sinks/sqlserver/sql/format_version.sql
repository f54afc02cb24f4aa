-- The newest format that was written here.
SELECT COALESCE(MAX([format_version]), 0) AS [newest]
FROM {progress};
