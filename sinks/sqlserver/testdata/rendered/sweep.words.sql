DELETE t
FROM [dbo].[words] AS t
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_words] AS s WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
