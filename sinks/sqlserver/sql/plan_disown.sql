-- Takes the mark of another stream off a table that is adopted, as a planned statement.
EXEC sys.sp_dropextendedproperty
    @name = N'cdc',
    @level0type = N'SCHEMA', @level0name = {schema}, @level1type = N'TABLE', @level1name = {name};
