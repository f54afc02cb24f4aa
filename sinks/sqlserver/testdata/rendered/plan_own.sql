EXEC sys.sp_addextendedproperty
    @name = N'cdc', @value = N'it''s shop',
    @level0type = N'SCHEMA', @level0name = N'dbo', @level1type = N'TABLE', @level1name = N'[dbo].[cdc_migrations]';
