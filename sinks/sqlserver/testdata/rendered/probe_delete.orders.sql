DELETE t
FROM [raw].[order lines] AS t
INNER JOIN [#cdc_stage_in_2] AS s ON t.[Id] = s.[Id]
WHERE s.[cdc_op] = 0 AND s.[cdc_ord] BETWEEN @first AND @last;
