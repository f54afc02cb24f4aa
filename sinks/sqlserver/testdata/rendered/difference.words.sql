INSERT INTO [#cdc_stage_in_1] ([word], [bytes], [cdc_op], [cdc_ord], [cdc_seq])
SELECT s.[word], s.[bytes], 1, @first + ROW_NUMBER() OVER (ORDER BY s.[word], s.[bytes]) - 1, @seq
FROM [dbo].[cdc_stage_words] AS s
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[words] AS t WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]) AND 1 = 1);
