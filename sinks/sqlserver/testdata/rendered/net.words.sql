DELETE t
FROM [#cdc_stage_in_1] AS t
INNER JOIN [#cdc_stage_in_1] AS s ON t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes])
WHERE t.[cdc_ord] < s.[cdc_ord];
