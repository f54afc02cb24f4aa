INSERT INTO [dbo].[words] ([word], [bytes])
SELECT s.[word], s.[bytes]
FROM [dbo].[cdc_stage_words] AS s
WHERE 1 = 1 AND NOT EXISTS (SELECT 1 FROM [dbo].[words] AS t WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
