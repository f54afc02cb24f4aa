package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// from translates the tables of FROM and puts them into the scope; locking lists those whose rows are to be locked.
func (b *binder) from(tables []tsql.Table) (sql string, locking []string, err error) {
	var parts []string
	for _, t := range tables {
		s, locks, err := b.tableSource(t)
		if err != nil {
			return "", nil, err
		}
		parts = append(parts, s)
		locking = append(locking, locks...)
	}
	return strings.Join(parts, ", "), locking, nil
}

func (b *binder) tableSource(t tsql.Table) (string, []string, error) {
	switch t := t.(type) {
	case *tsql.TableRef:
		return b.tableRef(t)
	case *tsql.Derived:
		s, err := b.derived(t)
		return s, nil, err
	case *tsql.Join:
		return b.join(t)
	case *tsql.Apply:
		l, locks, err := b.tableSource(t.L)
		if err != nil {
			return "", nil, err
		}
		n := len(b.scope.sources)
		r, _, err := b.tableSource(t.R)
		if err != nil {
			return "", nil, err
		}
		if t.Outer {
			for _, s := range b.scope.sources[n:] {
				s.outer = true
			}
			return fmt.Sprintf("%s LEFT JOIN LATERAL %s ON true", l, r), locks, nil
		}
		return fmt.Sprintf("%s CROSS JOIN LATERAL %s", l, r), locks, nil
	}
	return "", nil, refuse("this source of rows")
}

func (b *binder) add(s *source) error {
	for _, other := range b.scope.sources {
		if strings.EqualFold(other.alias, s.alias) {
			return fail(1011, "The correlation name '%s' is specified multiple times in a FROM clause.", s.alias)
		}
	}
	b.scope.sources = append(b.scope.sources, s)
	return nil
}

func (b *binder) tableRef(t *tsql.TableRef) (string, []string, error) {
	alias := t.Alias
	if alias == "" {
		alias = t.Name.Last()
	}
	if len(t.Name) == 1 {
		for _, c := range slices.Backward(b.ctes) {
			if strings.EqualFold(c.name, t.Name.Last()) {
				if len(t.Hints) > 0 {
					return "", nil, refuse("hints on a named query")
				}
				return Ident(c.name) + " AS " + Ident(alias), nil, b.add(&source{alias: alias, sql: Ident(alias), columns: c.columns})
			}
		}
	}
	table, err := b.table(t.Name)
	if err != nil {
		return "", nil, err
	}
	locking, err := b.lock(table, t.Hints, false)
	if err != nil {
		return "", nil, err
	}
	err = b.add(&source{alias: alias, sql: Ident(alias), columns: table.Columns, table: table})
	var rows []string
	if locking {
		rows = []string{Ident(alias)}
	}
	return table.SQL() + " AS " + Ident(alias), rows, err
}

// lock does what hints ask for; true says that rows which are read must be locked. writing tells that the statement
// changes the table, which locks its rows anyway.
func (b *binder) lock(t *Table, hints []string, writing bool) (bool, error) {
	has := func(h ...string) bool {
		return slices.ContainsFunc(h, func(x string) bool { return slices.Contains(hints, x) })
	}
	update := has("UPDLOCK", "XLOCK")
	if t.Temp {
		return false, nil // nobody else sees it
	}
	mode := ""
	switch {
	case has("TABLOCKX"):
		mode = "EXCLUSIVE"
	case has("HOLDLOCK", "SERIALIZABLE", "TABLOCK") && (update || writing):
		mode = "SHARE ROW EXCLUSIVE"
	case has("HOLDLOCK", "SERIALIZABLE", "TABLOCK"):
		mode = "SHARE"
	}
	if t.View && (mode != "" || update) {
		return false, refuse("locks on a view")
	}
	if mode != "" {
		b.locks = append(b.locks, fmt.Sprintf("LOCK TABLE %s IN %s MODE", t.SQL(), mode))
	}
	return update && !writing, nil
}

func (b *binder) derived(d *tsql.Derived) (string, error) {
	if d.Rows != nil {
		return b.valuesTable(d)
	}
	q, err := b.inner(d.Query, queryUse{})
	if err != nil {
		return "", err
	}
	columns, err := named(q.columns, d.Columns, d.Alias)
	if err != nil {
		return "", err
	}
	err = b.add(&source{alias: d.Alias, sql: Ident(d.Alias), columns: columns})
	return fmt.Sprintf("(%s) AS %s(%s)", q.sql, Ident(d.Alias), columnList(columns)), err
}

// valuesTable is a table of constants in FROM.
func (b *binder) valuesTable(d *tsql.Derived) (string, error) {
	width := len(d.Rows[0])
	table := make([][]typed, width) // by column
	for _, row := range d.Rows {
		if len(row) != width {
			return "", fail(10709, "The number of columns for each row in a table value constructor must be the same.")
		}
		for i, x := range row {
			e, err := b.value(x)
			if err != nil {
				return "", err
			}
			table[i] = append(table[i], e)
		}
	}
	var columns []Column
	for i := range table {
		t, err := b.unify(table[i])
		if err != nil {
			return "", err
		}
		columns = append(columns, Column{Type: t.typ, Nullable: t.nullable})
	}
	columns, err := named(columns, d.Columns, d.Alias)
	if err != nil {
		return "", err
	}
	var rows []string
	for r := range d.Rows {
		var items []string
		for i := range table {
			items = append(items, table[i][r].sql)
		}
		rows = append(rows, "("+strings.Join(items, ", ")+")")
	}
	err = b.add(&source{alias: d.Alias, sql: Ident(d.Alias), columns: columns})
	return fmt.Sprintf("(VALUES %s) AS %s(%s)", strings.Join(rows, ", "), Ident(d.Alias), columnList(columns)), err
}

func (b *binder) join(j *tsql.Join) (string, []string, error) {
	first := len(b.scope.sources)
	l, locking, err := b.tableSource(j.L)
	if err != nil {
		return "", nil, err
	}
	middle := len(b.scope.sources)
	r, more, err := b.tableSource(j.R)
	if err != nil {
		return "", nil, err
	}
	locking = append(locking, more...)
	if _, nested := j.R.(*tsql.Join); nested {
		r = "(" + r + ")"
	}
	if j.Kind == "CROSS" {
		return fmt.Sprintf("%s CROSS JOIN %s", l, r), locking, nil
	}
	on, err := b.predicate(j.On)
	if err != nil {
		return "", nil, err
	}
	if j.Kind == "RIGHT" || j.Kind == "FULL" {
		for _, s := range b.scope.sources[first:middle] {
			s.outer = true
		}
	}
	if j.Kind == "LEFT" || j.Kind == "FULL" {
		for _, s := range b.scope.sources[middle:] {
			s.outer = true
		}
	}
	if len(locking) > 0 && j.Kind != "INNER" {
		return "", nil, refuse("UPDLOCK and XLOCK in an outer join")
	}
	return fmt.Sprintf("%s %s JOIN %s ON %s", l, j.Kind, r, on), locking, nil
}
