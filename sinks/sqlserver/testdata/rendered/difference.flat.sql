INSERT INTO [#cdc_stage_in_0] ([OrderId], [ItemId], [Name], [Amount], [At], [Raw], [cdc_op], [cdc_ord], [cdc_seq])
SELECT s.[OrderId], s.[ItemId], s.[Name], s.[Amount], s.[At], s.[Raw], 1, @first + ROW_NUMBER() OVER (ORDER BY s.[OrderId], s.[ItemId]) - 1, @seq
FROM [dbo].[cdc_stage_Flats] AS s
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[Flats] AS t WHERE t.[OrderId] = s.[OrderId] AND EXISTS (SELECT t.[ItemId] INTERSECT SELECT s.[ItemId]) AND EXISTS (SELECT t.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Name]), t.[Amount], t.[At], t.[Raw], DATALENGTH(t.[Raw]) INTERSECT SELECT s.[Name] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Name]), s.[Amount], s.[At], s.[Raw], DATALENGTH(s.[Raw])) AND t.[IsDeleted] = 0);
