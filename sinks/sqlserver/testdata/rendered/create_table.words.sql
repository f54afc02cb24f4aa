CREATE TABLE [dbo].[words] (
    [word] nvarchar(120) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [bytes] varbinary(16) NOT NULL,
    PRIMARY KEY ([word], [bytes])
);
