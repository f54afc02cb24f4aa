DELETE t
FROM [#cdc_stage_in_3] AS t
INNER JOIN [#cdc_stage_in_3] AS s ON t.[Id] = s.[Id]
WHERE t.[cdc_ord] < s.[cdc_ord];
