-- The mark of who delivers a table, as a planned statement, whose values stand in it.
EXEC sys.sp_addextendedproperty
    @name = N'cdc', @value = {owner},
    @level0type = N'SCHEMA', @level0name = {schema}, @level1type = N'TABLE', @level1name = {name};
