INSERT INTO [dbo].[cdc_stage_words] ([word], [bytes])
SELECT s.[word], s.[bytes]
FROM [#cdc_stage_in_1] AS s
WHERE s.[cdc_op] <> 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_words] AS t WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
