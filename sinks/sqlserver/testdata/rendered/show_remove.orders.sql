DELETE t
FROM [raw].[order lines] AS t
WHERE NOT EXISTS (SELECT 1 FROM [raw].[cdc_stage_order lines] AS s WHERE t.[Id] = s.[Id]) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_2] AS s WHERE s.[cdc_op] = 2 AND t.[Id] = s.[Id]);
