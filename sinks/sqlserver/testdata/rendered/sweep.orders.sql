DELETE t
FROM [raw].[order lines] AS t
WHERE NOT EXISTS (SELECT 1 FROM [raw].[cdc_stage_order lines] AS s WHERE t.[Id] = s.[Id]);
