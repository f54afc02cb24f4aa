DELETE t
FROM [raw].[order lines] AS t
INNER JOIN [#cdc_stage_in_2] AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 1 AND s.[cdc_ord] BETWEEN @first AND @last AND NOT EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]) INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]));
