package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// Column is a column of a table.
type Column struct {
	Name     string
	Type     datatype.Type
	Nullable bool
	Identity bool
	// Filled says that a row without a value for the column gets a default.
	Filled bool
}

// Table is a table or view as PostgreSQL has it.
type Table struct {
	// ID is its object id, Schema and Name are its quoted name's parts in PostgreSQL.
	ID           int32
	Schema, Name string
	View, Temp   bool
	// Variable says that it is a table variable.
	Variable bool
	Columns  []Column
	// Title is its name as messages show it.
	Title string
}

// SQL is the table's quoted name.
func (t *Table) SQL() string { return Ident(t.Schema) + "." + Ident(t.Name) }

// column finds a column by its name, which ignores case.
func (t *Table) column(name string) (Column, error) {
	for _, c := range t.Columns {
		if strings.EqualFold(c.Name, name) {
			return c, nil
		}
	}
	return Column{}, invalidColumn(name)
}

// Catalog knows what exists.
type Catalog interface {
	// Table finds a table or view; nil without error if there is none.
	Table(ctx context.Context, name tsql.Name) (*Table, error)
	// Schema and Database return an id, 0 if there is none; the empty name stands for the current one.
	Schema(ctx context.Context, name string) (int32, error)
	Database(ctx context.Context, name string) (int32, error)
}

// Variable is a variable of the batch.
type Variable struct {
	Type  datatype.Type
	Value datatype.Value
}

// State is what an expression may ask the session.
type State struct {
	RowCount  int64
	TranCount int
	XactState int
	SPID      int
	Database  string
	Login     string
	// Error is the one that a CATCH block handles, nil outside of one.
	Error *Error
}

// Translator turns statements into PostgreSQL's SQL. It serves one statement at a time.
type Translator struct {
	Catalog   Catalog
	Variables map[string]Variable
	State     State
}

// Query is SQL of PostgreSQL with its parameters.
type Query struct {
	SQL    string
	Params []datatype.Value
	// Columns describe the result; empty if there is none.
	Columns []Column
	// Locks are statements to run before, in the same transaction.
	Locks []string
	// Reads says that the query reads a table.
	Reads bool
}

// binder translates one statement.
type binder struct {
	*Translator
	ctx    context.Context
	params []datatype.Value
	names  map[string]int // of variables among params
	scope  *scope
	ctes   []*cte
	locks  []string
	reads  bool
	alias  int
	// groups is set while a grouped select's items are translated.
	groups *groups
}

// cte is a named query in sight.
type cte struct {
	name    string
	columns []Column
}

// source is a table of FROM.
type source struct {
	alias   string // how columns are qualified in T-SQL
	sql     string // and in PostgreSQL, quoted
	columns []Column
	table   *Table // nil for queries
	// outer says that a row may be missing, and all columns NULL.
	outer bool
}

// scope is what a query sees.
type scope struct {
	sources []*source
	up      *scope
}

func (t *Translator) binder(ctx context.Context) *binder {
	return &binder{Translator: t, ctx: ctx, names: map[string]int{}}
}

// push opens a scope; the returned function closes it.
func (b *binder) push() func() {
	groups := b.groups
	b.scope = &scope{up: b.scope}
	b.groups = nil
	return func() { b.scope, b.groups = b.scope.up, groups }
}

// find resolves a column.
func (b *binder) find(c *tsql.Column) (*source, Column, error) {
	for s := b.scope; s != nil; s = s.up {
		src, col, err := s.find(c)
		if err != nil || src != nil {
			return src, col, err
		}
	}
	if len(c.Table) > 0 {
		return nil, Column{}, fail(4104, "The multi-part identifier \"%s.%s\" could not be bound.", strings.Join(c.Table, "."), c.Name)
	}
	return nil, Column{}, invalidColumn(c.Name)
}

func (s *scope) find(c *tsql.Column) (*source, Column, error) {
	var at *source
	var found Column
	for _, src := range s.sources {
		if len(c.Table) > 0 && !src.answers(c.Table) {
			continue
		}
		for _, col := range src.columns {
			if !strings.EqualFold(col.Name, c.Name) {
				continue
			}
			if at != nil {
				return nil, Column{}, fail(209, "Ambiguous column name '%s'.", c.Name)
			}
			at, found = src, col
			found.Nullable = found.Nullable || src.outer
		}
		if len(c.Table) > 0 && at == nil {
			return nil, Column{}, invalidColumn(c.Name)
		}
	}
	return at, found, nil
}

// answers reports whether a qualifier means the source.
func (s *source) answers(name tsql.Name) bool {
	if len(name) == 1 {
		return strings.EqualFold(s.alias, name[0])
	}
	return s.table != nil && strings.EqualFold(s.alias, name.Last()) && strings.EqualFold(s.table.Title, strings.Join(name[len(name)-2:], "."))
}

// table looks a table up and fails if there is none.
func (b *binder) table(name tsql.Name) (*Table, error) {
	b.reads = true
	t, err := b.Catalog.Table(b.ctx, name)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, invalidObject(strings.Join(name, "."))
	}
	return t, nil
}

// fresh makes an alias that no T-SQL name can be.
func (b *binder) fresh() string {
	b.alias++
	return fmt.Sprintf("$%d", b.alias)
}

// variable makes a parameter of a variable.
func (b *binder) variable(name string) (typed, error) {
	key := strings.ToLower(name)
	v, ok := b.Variables[key]
	if !ok {
		return typed{}, fail(137, "Must declare the scalar variable \"%s\".", name)
	}
	n, ok := b.names[key]
	if !ok {
		b.params = append(b.params, v.Value)
		n = len(b.params)
		b.names[key] = n
	}
	return typed{sql: fmt.Sprintf("$%d::%s", n, v.Type.Postgres()), typ: v.Type, nullable: true}, nil
}

// Ident quotes a name for PostgreSQL.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal quotes text for PostgreSQL.
func Literal(s string) string {
	if strings.Contains(s, `\`) {
		return ` E'` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
