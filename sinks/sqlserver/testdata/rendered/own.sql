EXEC sys.sp_addextendedproperty
    @name = N'cdc', @value = @owner,
    @level0type = N'SCHEMA', @level0name = @schema, @level1type = N'TABLE', @level1name = @name;
