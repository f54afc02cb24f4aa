DELETE t
FROM [raw].[order]]s] AS t
WHERE NOT EXISTS (SELECT 1 FROM [raw].[cdc_stage_order]]s] AS s WHERE t.[Id] = s.[Id]);
