INSERT INTO [#cdc_stage_in_3] ([Id], [Code], [Amount], [cdc_op], [cdc_ord], [cdc_seq])
SELECT s.[Id], s.[Code], s.[Amount], 1, @first + ROW_NUMBER() OVER (ORDER BY s.[Id]) - 1, @seq
FROM [dbo].[cdc_stage_traced] AS s
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[traced] AS t WHERE t.[Id] = s.[Id] AND EXISTS (SELECT t.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(t.[Code]), t.[Amount] INTERSECT SELECT s.[Code] COLLATE Latin1_General_100_BIN2, DATALENGTH(s.[Code]), s.[Amount]) AND t.[is_deleted] = 0);
