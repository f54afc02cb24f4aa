DELETE t
FROM [raw].[order lines] AS t
INNER JOIN [raw].[cdc_stage_order lines] AS s ON t.[Id] = s.[Id]
WHERE 1 = 1 AND NOT EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]) INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]));
