-- Notes the keys that a cover without key order has seen.
INSERT INTO {stage} ({keys})
SELECT {values}
FROM {inbox} AS s
WHERE s.[cdc_op] <> 0 AND NOT EXISTS (SELECT 1 FROM {stage} AS t WHERE {match});
