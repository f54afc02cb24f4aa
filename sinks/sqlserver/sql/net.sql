-- Of a key that came several times the last counts.
DELETE t
FROM {inbox} AS t
INNER JOIN {inbox} AS s ON {match}
WHERE t.[cdc_ord] < s.[cdc_ord];
