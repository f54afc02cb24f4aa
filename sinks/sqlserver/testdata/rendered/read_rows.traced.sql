SELECT t.[Id], t.[Code], t.[Amount]
FROM [dbo].[traced] AS t
WHERE (t.[Id] >= CAST(@range_1 AS decimal(20,0)) AND (t.[Id] > CAST(@range_0 AS decimal(20,0)) OR (t.[Id] = CAST(@range_0 AS decimal(20,0)) AND (1 = 1)))) AND (t.[Id] <= CAST(@range_3 AS decimal(20,0)) AND (t.[Id] < CAST(@range_2 AS decimal(20,0)) OR (t.[Id] = CAST(@range_2 AS decimal(20,0)) AND (1 = 1))));
