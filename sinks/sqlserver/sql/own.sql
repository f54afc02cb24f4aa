-- Writes into a table's properties, which travel with it through backups and renames, what it is delivered from.
EXEC sys.sp_addextendedproperty
    @name = N'cdc', @value = @owner,
    @level0type = N'SCHEMA', @level0name = @schema, @level1type = N'TABLE', @level1name = @name;
