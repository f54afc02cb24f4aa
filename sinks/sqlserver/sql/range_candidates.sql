-- Keys near a range whose order the server does not share; the caller decides which of them lie in it.
SELECT TOP (@most) {keys}
FROM {table} AS t
WHERE {where};
