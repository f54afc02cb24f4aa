CREATE TABLE [dbo].[cdc_stage_traced] (
    [Id] decimal(20,0) NOT NULL,
    [Code] nvarchar(40) NULL,
    [Amount] decimal(10,2) NULL
);
