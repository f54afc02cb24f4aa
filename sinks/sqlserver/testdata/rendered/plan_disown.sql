EXEC sys.sp_dropextendedproperty
    @name = N'cdc',
    @level0type = N'SCHEMA', @level0name = N'dbo', @level1type = N'TABLE', @level1name = N'[dbo].[cdc_migrations]';
