SELECT TOP (@most) t.[word], t.[bytes]
FROM [dbo].[words] AS t
WHERE (t.[word] >= CAST(@range_0 AS nvarchar(120))) AND (t.[word] < CAST(@range_1 AS nvarchar(120))) AND NOT EXISTS (SELECT 1 FROM [#cdc_stage_in_1] AS s WHERE t.[word] = s.[word] AND DATALENGTH(t.[word]) = DATALENGTH(s.[word]) AND t.[bytes] = s.[bytes] AND DATALENGTH(t.[bytes]) = DATALENGTH(s.[bytes]));
