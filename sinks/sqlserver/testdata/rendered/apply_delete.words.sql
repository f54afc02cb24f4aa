DELETE t
FROM [dbo].[words] AS t
INNER JOIN [#cdc_stage_in_1] AS s ON t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes])
WHERE s.[cdc_op] = 0;
