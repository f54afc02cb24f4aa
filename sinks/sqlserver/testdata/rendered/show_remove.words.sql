DELETE t
FROM [dbo].[words] AS t
WHERE NOT EXISTS (SELECT 1 FROM [dbo].[cdc_stage_words] AS s WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes])) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_1] AS s WHERE s.[cdc_op] = 2 AND t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
