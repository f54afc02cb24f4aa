UPDATE t
SET [Name] = s.[Name],
    [Amount] = s.[Amount],
    [At] = s.[At],
    [Raw] = s.[Raw],
    [IsDeleted] = 0
FROM [dbo].[Flats] AS t
INNER JOIN [dbo].[cdc_stage_Flats] AS s ON t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId])
WHERE 1 = 1 AND NOT (EXISTS (SELECT t.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Name]), t.[Amount], t.[At], t.[Raw], DATALENGTH(t.[Raw]) INTERSECT SELECT s.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Name]), s.[Amount], s.[At], s.[Raw], DATALENGTH(s.[Raw])) AND t.[IsDeleted] = 0);
