-- Takes what a staging table has and the visible one has not, or differently, to where refused rows can be found.
INSERT INTO {inbox} ({columns}, [cdc_op], [cdc_ord], [cdc_seq])
SELECT {values}, 1, @first + ROW_NUMBER() OVER (ORDER BY {keys}) - 1, @seq
FROM {stage} AS s
WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {match} AND {same});
