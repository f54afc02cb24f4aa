package rewrite

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// What PostgreSQL has no place for is kept in comments, which come and go with what they describe:
//
//	on a column   its type in T-SQL and its collation, "nvarchar(10) Latin1_General_100_BIN2"
//	on an index   what it is to SQL Server, and its name there: "primary clustered PK_x"
//	on a check    its name in T-SQL
//
// TypeComment and ParseTypeComment, IndexComment and ParseIndexComment are the only places that know these forms.

// TypeComment describes a type.
func TypeComment(t datatype.Type) string {
	if t.IsText() {
		return t.String() + " " + t.Collation.String()
	}
	return t.String()
}

// ParseTypeComment reads what TypeComment wrote.
func ParseTypeComment(s string) (datatype.Type, error) {
	name, collation, _ := strings.Cut(s, " ")
	v, err := tsql.ParseParameters("@x " + name)
	if err != nil || len(v) != 1 {
		return datatype.Type{}, fmt.Errorf("read the type of a column from its comment %q: %w", s, err)
	}
	t := v[0].Type
	if collation != "" {
		if t.Collation, err = datatype.ParseCollation(collation); err != nil {
			return t, err
		}
	}
	return t, nil
}

// IndexKind is what an index is to SQL Server.
type IndexKind string

// The kinds of indexes; all but the last forbid duplicates.
const (
	PrimaryKey       IndexKind = "primary"
	UniqueConstraint IndexKind = "constraint"
	UniqueIndex      IndexKind = "unique"
	PlainIndex       IndexKind = "index"
)

func indexComment(k IndexKind, clustered bool, name string) string {
	c := "nonclustered"
	if clustered {
		c = "clustered"
	}
	return string(k) + " " + c + " " + name
}

// ParseIndexComment reads an index's comment.
func ParseIndexComment(s string) (k IndexKind, name string) {
	s, _, _ = strings.Cut(s, "\n") // its columns follow
	kind, rest, _ := strings.Cut(s, " ")
	_, name, _ = strings.Cut(rest, " ")
	return IndexKind(kind), name
}

// longestName is what PostgreSQL keeps of a name; SQL Server keeps more.
const longestName = 63

func checkName(n string) error {
	if len(n) > longestName {
		return refuse("names of more than %d bytes (%s)", longestName, n)
	}
	return nil
}

// indexName is an index's name in PostgreSQL, which has one namespace for all indexes of a schema.
func indexName(t *Table, name string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Schema + "\x00" + t.Name + "\x00" + strings.ToLower(name))) // a hash takes everything
	return fmt.Sprintf("ix_%016x", h.Sum64())
}

// Place is where a new table goes.
type Place struct {
	Schema, Name string
	Temp         bool
}

// CreateTable translates a CREATE TABLE to statements that belong together.
func (t *Translator) CreateTable(ctx context.Context, x *tsql.CreateTable, at Place) ([]string, error) {
	if err := checkName(at.Name); err != nil {
		return nil, err
	}
	table := &Table{Schema: at.Schema, Name: at.Name, Temp: at.Temp, Title: x.Name.Last()}
	kind := "TABLE"
	if at.Temp {
		kind, table.Schema = "TEMPORARY TABLE", "pg_temp"
	}
	var columns, after []string
	for _, c := range x.Columns {
		for _, k := range x.Constraints {
			if k.Primary && slices.ContainsFunc(k.Columns, func(i tsql.IndexColumn) bool { return strings.EqualFold(i.Name, c.Name) }) {
				if c.Null != nil && *c.Null {
					return nil, fail(8111, "Cannot define PRIMARY KEY constraint on nullable column in table '%s'.", at.Name)
				}
				no := false
				c.Null = &no
			}
		}
		def, err := t.columnDef(ctx, table, c)
		if err != nil {
			return nil, err
		}
		if _, err := table.column(c.Name); err == nil {
			return nil, fail(2705, "Column names in each table must be unique. Column name '%s' in table '%s' is specified more than once.", c.Name, at.Name)
		}
		columns = append(columns, def)
		table.Columns = append(table.Columns, Column{Name: c.Name, Type: c.Type, Nullable: c.Null == nil || *c.Null, Identity: c.Identity})
		after = append(after, comment(table, c))
	}
	out := []string{fmt.Sprintf("CREATE %s %s (%s)", kind, table.SQL(), strings.Join(columns, ", "))}
	out = append(out, after...)
	more, err := t.constraints(ctx, table, x.Constraints)
	return append(out, more...), err
}

func comment(t *Table, c tsql.ColumnDef) string {
	return fmt.Sprintf("COMMENT ON COLUMN %s.%s IS %s", t.SQL(), Ident(c.Name), Literal(TypeComment(c.Type)))
}

// columnDef writes a column for CREATE TABLE or ADD COLUMN.
func (t *Translator) columnDef(ctx context.Context, table *Table, c tsql.ColumnDef) (string, error) {
	if err := checkName(c.Name); err != nil {
		return "", err
	}
	if c.Collated && !c.Type.IsText() {
		return "", fail(452, "COLLATE clause cannot be used on user-defined data types or types other than character ones (%s).", c.Name)
	}
	if c.Type.IsUnicode() && c.Type.Collation.UTF8() {
		// Servers take a UTF-8 collation for nvarchar as well; its order is that of code points all the same.
		c.Type.Collation = datatype.BIN2UTF8
	}
	def := Ident(c.Name) + " " + c.Type.Postgres()
	if c.Null != nil && !*c.Null || c.Identity {
		def += " NOT NULL"
	}
	if c.Identity {
		if !c.Type.IsInteger() || c.Type.Kind == datatype.Bit {
			return "", refuse("IDENTITY of type %s", c.Type)
		}
		if c.Step <= 0 {
			return "", refuse("IDENTITY that does not grow")
		}
		lowest := min(c.Seed, 1)
		def += fmt.Sprintf(" GENERATED BY DEFAULT AS IDENTITY (START WITH %d INCREMENT BY %d MINVALUE %d)", c.Seed, c.Step, lowest)
	}
	if c.Default != nil {
		b := t.binder(ctx)
		e, err := b.value(c.Default)
		if err != nil {
			return "", err
		}
		if len(b.params) > 0 {
			return "", fail(112, "Variables are not allowed in the CREATE TABLE statement.")
		}
		if e, err = b.convert(e, c.Type, assigning); err != nil {
			return "", err
		}
		if c.DefaultName != "" {
			return "", refuse("a name for a default (%s), which PostgreSQL has no place for", c.DefaultName)
		}
		def += " DEFAULT " + e.sql
	}
	return def, nil
}

// constraints translates keys and checks of a table.
func (t *Translator) constraints(ctx context.Context, table *Table, all []tsql.Constraint) ([]string, error) {
	var out []string
	primary := false
	for i, k := range all {
		if k.Primary && primary {
			return nil, fail(8110, "Cannot add multiple PRIMARY KEY constraints to table '%s'.", table.Name)
		}
		primary = primary || k.Primary
		if k.Check != nil {
			s, err := t.check(ctx, table, k, i)
			if err != nil {
				return nil, err
			}
			out = append(out, s...)
			continue
		}
		kind := UniqueConstraint
		clustered := k.Clustered != nil && *k.Clustered
		prefix := "UQ"
		if k.Primary {
			kind, prefix = PrimaryKey, "PK"
			clustered = k.Clustered == nil || *k.Clustered
			for _, ic := range k.Columns {
				c, err := table.column(ic.Name)
				if err != nil {
					return nil, err
				}
				if c.Nullable {
					return nil, fail(8111, "Cannot define PRIMARY KEY constraint on nullable column in table '%s'.", table.Name)
				}
			}
		}
		name := k.Name
		if name == "" {
			name = fmt.Sprintf("%s__%s__%08X", prefix, table.Name, i+1)
		}
		s, err := index(table, name, kind, clustered, k.Columns, nil, "")
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

// Limits of an index's key: columns, and bytes.
const (
	mostKeys     = 32
	clusteredKey = 900
	otherKey     = 1700
)

// index makes an index over what equal values have in common. NULLs are equal to SQL Server's unique indexes.
func index(t *Table, name string, kind IndexKind, clustered bool, columns []tsql.IndexColumn, include []string, where string) ([]string, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if len(columns) > mostKeys {
		return nil, fail(1904, "The index '%s' on table '%s' has %d columns in the key list. The maximum limit for index key column list is %d.", name, t.Name, len(columns), mostKeys)
	}
	var keys []string
	bytes, limit := 0, otherKey
	if clustered {
		limit = clusteredKey
	}
	for _, ic := range columns {
		c, err := t.column(ic.Name)
		if err != nil {
			return nil, fail(1911, "Column name '%s' does not exist in the target table or view.", ic.Name)
		}
		if c.Type.Length == datatype.Max {
			return nil, fail(1919, "Column '%s' in table '%s' is of a type that is invalid for use as a key column in an index.", c.Name, t.Name)
		}
		if bytes += int(storedLength(c.Type)); bytes > limit {
			return nil, refuse("an index (%s) whose key may be longer than %d bytes: a server takes it, and refuses the rows that are", name, limit)
		}
		key := "(" + groupKey(typed{sql: Ident(c.Name), typ: c.Type}) + ")"
		if ic.Desc {
			key += " DESC"
		}
		keys = append(keys, key)
	}
	for _, n := range include {
		if _, err := t.column(n); err != nil {
			return nil, fail(1911, "Column name '%s' does not exist in the target table or view.", n)
		}
	}
	unique, nulls := "", ""
	if kind != PlainIndex {
		unique, nulls = "UNIQUE ", " NULLS NOT DISTINCT"
	}
	pg := indexName(t, name)
	schema := Ident(t.Schema)
	out := []string{
		fmt.Sprintf("CREATE %sINDEX %s ON %s (%s)%s%s", unique, Ident(pg), t.SQL(), strings.Join(keys, ", "), nulls, where),
		fmt.Sprintf("COMMENT ON INDEX %s.%s IS %s", schema, Ident(pg), Literal(indexComment(kind, clustered, name)+keyComment(columns, include))),
	}
	return out, nil
}

// keyComment lists an index's columns behind its name, for sys.index_columns: an index over expressions does not
// tell PostgreSQL's catalog of which columns it is made.
func keyComment(columns []tsql.IndexColumn, include []string) string {
	s := "\n"
	for _, c := range columns {
		d := "+"
		if c.Desc {
			d = "-"
		}
		s += d + c.Name + "\n"
	}
	for _, c := range include {
		s += "*" + c + "\n"
	}
	return s
}

func (t *Translator) check(ctx context.Context, table *Table, k tsql.Constraint, n int) ([]string, error) {
	b := t.binder(ctx)
	b.scope = &scope{sources: []*source{{alias: table.Name, sql: Ident(table.Name), columns: table.Columns, table: table}}}
	p, err := b.predicate(k.Check)
	if err != nil {
		return nil, err
	}
	if len(b.params) > 0 {
		return nil, fail(112, "Variables are not allowed in the CREATE TABLE statement.")
	}
	name := k.Name
	if name == "" {
		name = fmt.Sprintf("CK__%s__%08X", table.Name, n+1)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s)", table.SQL(), Ident(name), p)}, nil
}

// CreateIndex translates a CREATE INDEX.
func (t *Translator) CreateIndex(ctx context.Context, x *tsql.CreateIndex) ([]string, error) {
	b := t.binder(ctx)
	table, err := b.target(x.Table)
	if err != nil {
		return nil, err
	}
	where := ""
	if x.Where != nil {
		b.scope = &scope{sources: []*source{{alias: table.Name, sql: Ident(table.Name), columns: table.Columns, table: table}}}
		p, err := b.predicate(x.Where)
		if err != nil {
			return nil, err
		}
		if len(b.params) > 0 {
			return nil, refuse("variables in an index")
		}
		where = " WHERE " + p
	}
	kind := PlainIndex
	if x.Unique {
		kind = UniqueIndex
	}
	return index(table, x.Name, kind, x.Clustered, x.Columns, x.Include, where)
}

// DropIndex translates a DROP INDEX.
func (t *Translator) DropIndex(ctx context.Context, x *tsql.DropIndex) ([]string, error) {
	table, err := t.binder(ctx).target(x.Table)
	if err != nil {
		return nil, err
	}
	exists := ""
	if x.IfExists {
		exists = "IF EXISTS "
	}
	return []string{fmt.Sprintf("DROP INDEX %s%s.%s", exists, Ident(table.Schema), Ident(indexName(table, x.Name)))}, nil
}

// AlterTable translates an ALTER TABLE. Dependents of a dropped or changed column are for the caller to look at.
func (t *Translator) AlterTable(ctx context.Context, x *tsql.AlterTable) ([]string, *Table, error) {
	b := t.binder(ctx)
	table, err := b.target(x.Name)
	if err != nil {
		return nil, nil, fail(4902, "Cannot find the object \"%s\" because it does not exist or you do not have permissions.", strings.Join(x.Name, "."))
	}
	var out []string
	for _, c := range x.AddColumns {
		if _, err := table.column(c.Name); err == nil {
			return nil, nil, fail(2705, "Column names in each table must be unique. Column name '%s' in table '%s' is specified more than once.", c.Name, table.Title)
		}
		def, err := t.columnDef(ctx, table, c)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", table.SQL(), def), comment(table, c))
		table.Columns = append(table.Columns, Column{Name: c.Name, Type: c.Type, Nullable: c.Null == nil || *c.Null, Identity: c.Identity})
	}
	more, err := t.constraints(ctx, table, x.AddConstraints)
	if err != nil {
		return nil, nil, err
	}
	out = append(out, more...)
	if x.AlterColumn != nil {
		s, err := b.alterColumn(table, *x.AlterColumn)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, s...)
	}
	for _, n := range x.DropColumns {
		c, err := table.column(n)
		if err != nil {
			if x.IfExists {
				continue
			}
			return nil, nil, fail(4924, "ALTER TABLE DROP COLUMN failed because column '%s' does not exist in table '%s'.", n, table.Name)
		}
		out = append(out, fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", table.SQL(), Ident(c.Name)))
	}
	if len(x.DropConstraints) > 0 {
		return nil, nil, refuse("DROP CONSTRAINT")
	}
	return out, table, nil
}

func (b *binder) alterColumn(table *Table, c tsql.ColumnDef) ([]string, error) {
	old, err := table.column(c.Name)
	if err != nil {
		return nil, fail(4924, "ALTER TABLE ALTER COLUMN failed because column '%s' does not exist in table '%s'.", c.Name, table.Name)
	}
	if c.Type.IsText() && !c.Collated && old.Type.IsText() {
		c.Type.Collation = datatype.DefaultCollation // as SQL Server does
	}
	e, err := b.convert(typed{sql: Ident(old.Name), typ: old.Type, nullable: old.Nullable}, c.Type, assigning)
	if err != nil {
		return nil, err
	}
	null := "DROP"
	if c.Null != nil && !*c.Null {
		null = "SET"
	}
	c.Name = old.Name
	return []string{
		fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s", table.SQL(), Ident(old.Name), c.Type.Postgres(), e.sql),
		fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s %s NOT NULL", table.SQL(), Ident(old.Name), null),
		comment(table, c),
	}, nil
}

// CreateView translates a CREATE VIEW.
func (t *Translator) CreateView(ctx context.Context, x *tsql.CreateView, at Place) ([]string, error) {
	b := t.binder(ctx)
	q, err := b.inner(x.Query, queryUse{})
	if err != nil {
		return nil, err
	}
	if len(b.params) > 0 {
		return nil, refuse("variables in a view")
	}
	columns, err := named(q.columns, x.Columns, x.Name.Last())
	if err != nil {
		return nil, err
	}
	view := &Table{Schema: at.Schema, Name: at.Name}
	verb := "CREATE VIEW"
	if x.Alter {
		verb = "CREATE OR REPLACE VIEW"
	}
	out := []string{fmt.Sprintf("%s %s(%s) AS %s", verb, view.SQL(), columnList(columns), q.sql)}
	for _, c := range columns {
		out = append(out, comment(view, tsql.ColumnDef{Name: c.Name, Type: c.Type}))
	}
	return out, nil
}
