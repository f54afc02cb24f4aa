package rewrite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// Select translates a query; the second result lists the variables that its columns fill, if it fills any.
func (t *Translator) Select(ctx context.Context, q *tsql.Query) (Query, []string, error) {
	b := t.binder(ctx)
	var assign []string
	if s, ok := q.Body.(*tsql.Select); ok {
		for _, i := range s.Items {
			if i.Assign != "" {
				assign = append(assign, i.Assign)
			}
		}
		if len(assign) > 0 && len(assign) != len(s.Items) {
			return Query{}, nil, fail(141, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.")
		}
	}
	r, err := b.query(q, queryUse{})
	if err != nil {
		return Query{}, nil, err
	}
	if len(assign) > 0 {
		// The values take the variables' types.
		alias := b.fresh()
		var items, names []string
		for i, c := range r.columns {
			v, ok := t.Variables[strings.ToLower(assign[i])]
			if !ok {
				return Query{}, nil, fail(137, "Must declare the scalar variable \"%s\".", assign[i])
			}
			n := fmt.Sprintf("c%d", i+1)
			e, err := b.convert(typed{sql: Ident(alias) + "." + n, typ: c.Type, nullable: true}, v.Type, casting)
			if err != nil {
				return Query{}, nil, err
			}
			r.columns[i].Type = v.Type
			names, items = append(names, n), append(items, e.sql)
		}
		r.sql = fmt.Sprintf("SELECT %s FROM (%s) AS %s(%s)", strings.Join(items, ", "), r.sql, Ident(alias), strings.Join(names, ", "))
	}
	return Query{SQL: r.sql, Params: b.params, Columns: r.columns, Locks: b.locks}, assign, nil
}

// Condition translates a predicate to a query of one column, an int that is 1 or 0.
func (t *Translator) Condition(ctx context.Context, x tsql.Expr) (Query, error) {
	b := t.binder(ctx)
	p, err := b.predicate(x)
	return Query{SQL: fmt.Sprintf("SELECT COALESCE(%s, false)::int4", p), Params: b.params, Reads: b.reads, Columns: []Column{{Type: datatype.Simple(datatype.Int)}}}, err
}

// Value translates an expression to a query of one value of type to.
func (t *Translator) Value(ctx context.Context, x tsql.Expr, to datatype.Type) (Query, error) {
	b := t.binder(ctx)
	e, err := b.value(x)
	if err != nil {
		return Query{}, err
	}
	// Assigning to a variable cuts text silently, as CAST does.
	e, err = b.convert(e, to, casting)
	return Query{SQL: "SELECT " + e.sql, Params: b.params, Reads: b.reads, Columns: []Column{{Type: to, Nullable: true}}}, err
}

// Assigned translates the assignment of given variables to declared ones of the same names, in one row.
func (t *Translator) Assigned(ctx context.Context, declared []tsql.VariableDef) (Query, error) {
	b := t.binder(ctx)
	q := Query{}
	var items []string
	for _, d := range declared {
		e, err := b.value(&tsql.Variable{Name: d.Name})
		if err == nil {
			m := assigning // nothing that takes a CAST
			if d.Type.IsText() || e.typ.IsBinary() {
				m = casting // cut silently
			}
			e, err = b.convert(e, d.Type, m)
		}
		if err != nil {
			return q, err
		}
		items = append(items, e.sql)
		q.Columns = append(q.Columns, Column{Type: d.Type, Nullable: true})
	}
	q.SQL, q.Params = "SELECT "+strings.Join(items, ", "), b.params
	return q, nil
}

// target finds the table that a statement changes.
func (b *binder) target(name tsql.Name) (*Table, error) {
	if len(name) == 1 {
		for _, c := range b.ctes {
			if strings.EqualFold(c.name, name[0]) {
				return nil, refuse("changes through a named query (%s)", c.name)
			}
		}
	}
	t, err := b.table(name)
	if err == nil && t.View {
		return nil, refuse("changes through a view (%s)", t.Title)
	}
	if err == nil && t.Variable && b.State.TranCount > 0 {
		return nil, refuse("changes of a table variable (%s) within a transaction, whose end it would have to outlive", t.Title)
	}
	return t, err
}

// stored converts an expression to a column's type, with a way to name the column in an error.
func (b *binder) stored(e typed, c Column, t *Table) (string, error) {
	e, err := b.convert(e, c.Type, assigning)
	return e.sql, err
}

// Insert translates an INSERT.
func (t *Translator) Insert(ctx context.Context, x *tsql.Insert) (Query, error) {
	b := t.binder(ctx)
	with, done, err := b.with(x.With)
	if err != nil {
		return Query{}, err
	}
	defer done()
	table, err := b.target(x.Target.Name)
	if err != nil {
		return Query{}, err
	}
	if _, err := b.lock(table, x.Target.Hints, true); err != nil {
		return Query{}, err
	}
	columns, err := insertColumns(table, x.Columns)
	if err != nil {
		return Query{}, err
	}
	var rows string
	switch {
	case x.Rows != nil:
		rows, err = b.insertRows(x, table, columns)
	case x.Query != nil:
		rows, err = b.insertQuery(x.Query, table, columns)
	default:
		columns, rows = nil, "DEFAULT VALUES"
	}
	if err != nil {
		return Query{}, err
	}
	list := ""
	if columns != nil {
		list = "(" + columnList(columns) + ") "
	}
	sql := fmt.Sprintf("INSERT INTO %s AS \"$t\" %s%s", table.SQL(), list, rows)
	b.scope = &scope{sources: []*source{{alias: "inserted", sql: `"$t"`, columns: table.Columns}}}
	return b.finish(with, sql, x.Output)
}

func insertColumns(t *Table, names []string) ([]Column, error) {
	var out []Column
	if names == nil {
		for _, c := range t.Columns {
			if !c.Identity {
				out = append(out, c)
			}
		}
		return out, nil
	}
	for _, n := range names {
		c, err := t.column(n)
		if err != nil {
			return nil, err
		}
		if c.Identity {
			return nil, fail(544, "Cannot insert explicit value for identity column in table '%s' when IDENTITY_INSERT is set to OFF.", t.Name)
		}
		if slices.ContainsFunc(out, func(o Column) bool { return o.Name == c.Name }) {
			return nil, fail(264, "The column name '%s' is specified more than once in the SET clause or column list of an INSERT.", c.Name)
		}
		out = append(out, c)
	}
	return out, nil
}

func (b *binder) insertRows(x *tsql.Insert, table *Table, columns []Column) (string, error) {
	defer b.push()()
	cells := make([][]typed, len(columns)) // by column
	for _, row := range x.Rows {
		if len(row) < len(columns) {
			return "", fail(109, "There are more columns in the INSERT statement than values specified in the VALUES clause.")
		}
		if len(row) > len(columns) {
			return "", fail(110, "There are fewer columns in the INSERT statement than values specified in the VALUES clause.")
		}
		for i, item := range row {
			e := typed{sql: "DEFAULT"}
			if item != nil {
				var err error
				if e, err = b.value(item); err != nil {
					return "", err
				}
			}
			cells[i] = append(cells[i], e)
		}
	}
	rows := make([]string, len(x.Rows))
	for i, c := range columns {
		if err := b.oneType(cells[i]); err != nil {
			return "", err
		}
		for n, e := range cells[i] {
			s := e.sql
			if x.Rows[n][i] != nil {
				var err error
				if s, err = b.stored(e, c, table); err != nil {
					return "", err
				}
			}
			if i > 0 {
				rows[n] += ", "
			}
			rows[n] += s
		}
	}
	return "VALUES (" + strings.Join(rows, "), (") + ")", nil
}

// oneType gives the values of a column of VALUES one type before they are stored, if they have several: that of the
// strongest, as a server does.
func (b *binder) oneType(column []typed) error {
	var known []typed
	var at []int
	differ := false
	for i, e := range column {
		if e.typ.Kind == datatype.Null {
			continue
		}
		differ = differ || len(known) > 0 && known[0].typ.Kind != e.typ.Kind
		known, at = append(known, e), append(at, i)
	}
	if !differ {
		return nil
	}
	_, err := b.unify(known)
	for i, e := range known {
		column[at[i]] = e
	}
	return err
}

func (b *binder) insertQuery(q *tsql.Query, table *Table, columns []Column) (string, error) {
	r, err := b.query(q, queryUse{})
	if err != nil {
		return "", err
	}
	if len(r.columns) < len(columns) {
		return "", fail(120, "The select list for the INSERT statement contains fewer items than the insert list. The number of SELECT values must match the number of INSERT columns.")
	}
	if len(r.columns) > len(columns) {
		return "", fail(121, "The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.")
	}
	alias := b.fresh()
	var items, names []string
	for i, c := range r.columns {
		n := fmt.Sprintf("c%d", i+1)
		names = append(names, n)
		s, err := b.stored(typed{sql: Ident(alias) + "." + n, typ: c.Type, nullable: c.Nullable, strength: implicit}, columns[i], table)
		if err != nil {
			return "", err
		}
		items = append(items, s)
	}
	return fmt.Sprintf("SELECT %s FROM (%s) AS %s(%s)", strings.Join(items, ", "), r.sql, Ident(alias), strings.Join(names, ", ")), nil
}

// finish adds what OUTPUT asks for.
func (b *binder) finish(with, sql string, o *tsql.Output) (Query, error) {
	q := Query{SQL: with + sql, Locks: b.locks}
	if o == nil {
		q.Params = b.params
		return q, nil
	}
	items, err := b.items(o.Items)
	if err != nil {
		return q, err
	}
	var list []string
	for _, e := range items {
		list = append(list, e.sql)
		q.Columns = append(q.Columns, Column{Name: e.name, Type: e.typ, Nullable: e.nullable})
	}
	sql += " RETURNING " + strings.Join(list, ", ")
	q.SQL, q.Params = with+sql, b.params
	if o.Into == nil {
		return q, nil
	}
	if with != "" {
		return q, refuse("OUTPUT INTO behind named queries")
	}
	table, err := b.target(o.Into)
	if err != nil {
		return q, err
	}
	columns, err := insertColumns(table, o.Columns)
	if err != nil {
		return q, err
	}
	if len(columns) != len(q.Columns) {
		return q, fail(121, "The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.")
	}
	alias := b.fresh()
	var names, values []string
	for i, c := range q.Columns {
		n := fmt.Sprintf("c%d", i+1)
		names = append(names, n)
		s, err := b.stored(typed{sql: Ident(alias) + "." + n, typ: c.Type, strength: implicit}, columns[i], table)
		if err != nil {
			return q, err
		}
		values = append(values, s)
	}
	q.SQL = fmt.Sprintf("WITH %s(%s) AS (%s) INSERT INTO %s (%s) SELECT %s FROM %s",
		Ident(alias), strings.Join(names, ", "), sql, table.SQL(), columnList(columns), strings.Join(values, ", "), Ident(alias))
	q.Columns = nil
	return q, nil
}
