package rewrite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// queryUse says what a query is for.
type queryUse struct {
	// exists says that only the number of its rows counts.
	exists bool
}

// result is a translated query.
type result struct {
	sql     string
	columns []Column
	// items are the expressions, where the query is a single SELECT.
	items []typed
	// strengths say how strongly each column's collation holds.
	strengths []strength
}

func (b *binder) query(q *tsql.Query, use queryUse) (result, error) {
	with, done, err := b.with(q.With)
	if err != nil {
		return result{}, err
	}
	defer done()
	var r result
	if s, ok := q.Body.(*tsql.Select); ok {
		r, err = b.selectBody(s, q, use)
	} else {
		r, err = b.setOp(q.Body.(*tsql.SetOp), use)
		if err == nil && (len(q.Order) > 0) {
			r, err = b.orderOutput(r, q)
		}
	}
	r.sql = with + r.sql
	return r, err
}

// inner is a query within a statement. Its order would mean nothing, so that SQL Server takes none without a limit.
func (b *binder) inner(q *tsql.Query, use queryUse) (result, error) {
	s, single := q.Body.(*tsql.Select)
	if len(q.Order) > 0 && q.Offset == nil && (!single || s.Top == nil) {
		return result{}, fail(1033, "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.")
	}
	return b.query(q, use)
}

// with translates named queries; they are in sight until done is called.
func (b *binder) with(ctes []tsql.CTE) (sql string, done func(), err error) {
	n := len(b.ctes)
	done = func() { b.ctes = b.ctes[:n] }
	var parts []string
	for _, c := range ctes {
		q, err := b.inner(c.Query, queryUse{})
		if err != nil {
			done()
			return "", nil, err
		}
		columns, err := named(q.columns, c.Columns, c.Name)
		if err != nil {
			done()
			return "", nil, err
		}
		b.ctes = append(b.ctes, &cte{name: c.Name, columns: columns})
		parts = append(parts, fmt.Sprintf("%s(%s) AS (%s)", Ident(c.Name), columnList(columns), q.sql))
	}
	if len(parts) == 0 {
		return "", done, nil
	}
	return "WITH " + strings.Join(parts, ", ") + " ", done, nil
}

// named gives the columns of a query that stands for a table their names.
func named(columns []Column, names []string, table string) ([]Column, error) {
	out := slices.Clone(columns)
	if names != nil && len(names) != len(out) {
		return nil, fail(8158, "'%s' has more columns than were specified in the column list.", table)
	}
	for i := range out {
		if names != nil {
			out[i].Name = names[i]
		}
		if out[i].Name == "" {
			return nil, fail(8155, "No column name was specified for column %d of '%s'.", i+1, table)
		}
		for _, c := range out[:i] {
			if strings.EqualFold(c.Name, out[i].Name) {
				return nil, fail(8156, "The column '%s' was specified multiple times for '%s'.", c.Name, table)
			}
		}
	}
	return out, nil
}

func columnList(columns []Column) string {
	var parts []string
	for _, c := range columns {
		parts = append(parts, Ident(c.Name))
	}
	return strings.Join(parts, ", ")
}

// selectBody translates one SELECT with the order and limits of its query; q is nil inside of a set operation.
func (b *binder) selectBody(s *tsql.Select, q *tsql.Query, use queryUse) (result, error) {
	defer b.push()()
	if s.Into != nil {
		return result{}, refuse("SELECT INTO inside of a query")
	}
	from, locking, err := b.from(s.From)
	if err != nil {
		return result{}, err
	}
	sql := ""
	if from != "" {
		sql += " FROM " + from
	}
	if s.Where != nil {
		p, err := b.predicate(s.Where)
		if err != nil {
			return result{}, err
		}
		sql += " WHERE " + p
	}
	grouping, err := b.group(s)
	if err != nil {
		return result{}, err
	}
	sql += grouping
	items, err := b.items(s.Items)
	if err != nil {
		return result{}, err
	}
	r := result{items: items}
	var list, keys []string
	for i, e := range items {
		if e.typ.Kind == datatype.Null {
			e.sql = "NULL::int4"
			e.typ = datatype.Simple(datatype.Int)
		}
		list = append(list, e.sql)
		keys = append(keys, groupKey(e))
		r.columns = append(r.columns, Column{Name: e.name, Type: e.typ, Nullable: e.nullable})
		r.strengths = append(r.strengths, e.strength)
		items[i] = e
	}
	head := "SELECT "
	if s.Distinct {
		head = "SELECT DISTINCT ON (" + strings.Join(keys, ", ") + ") "
	}
	r.sql = head + strings.Join(list, ", ") + sql
	if q == nil {
		q = &tsql.Query{}
	}
	if s.Distinct && (len(q.Order) > 0 || s.Top != nil) {
		if s.Top != nil {
			return r, refuse("DISTINCT with TOP")
		}
		return b.orderOutput(r, q)
	}
	tail, err := b.tail(s, q, r)
	if err != nil {
		return r, err
	}
	r.sql += tail
	if len(locking) > 0 {
		if s.Distinct || len(s.Group) > 0 || s.Having != nil {
			return r, refuse("UPDLOCK and XLOCK in a query that groups")
		}
		r.sql += " FOR UPDATE OF " + strings.Join(locking, ", ")
	}
	return r, nil
}

// group translates GROUP BY and HAVING, and prepares the scope for the select list.
func (b *binder) group(s *tsql.Select) (string, error) {
	if len(s.Group) == 0 && s.Having == nil {
		return "", nil
	}
	g := &groups{}
	var keys []string
	for _, x := range s.Group {
		e, err := b.value(x)
		if err != nil {
			return "", err
		}
		g.sql = append(g.sql, e.sql)
		keys = append(keys, groupKey(e))
	}
	b.groups = g
	sql := ""
	if len(keys) > 0 {
		sql = " GROUP BY " + strings.Join(keys, ", ")
	}
	if s.Having != nil {
		p, err := b.predicate(s.Having)
		if err != nil {
			return "", err
		}
		sql += " HAVING " + p
	}
	return sql, nil
}

func (b *binder) items(items []tsql.Item) ([]typed, error) {
	var out []typed
	for _, i := range items {
		if i.Star {
			star, err := b.star(i.Table)
			if err != nil {
				return nil, err
			}
			out = append(out, star...)
			continue
		}
		e, err := b.value(i.X)
		if err != nil {
			return nil, err
		}
		if _, column := i.X.(*tsql.Column); !column {
			e.name = ""
		}
		if i.Alias != "" {
			e.name = i.Alias
		}
		out = append(out, e)
	}
	return out, nil
}

func (b *binder) star(table tsql.Name) ([]typed, error) {
	var out []typed
	for _, src := range b.scope.sources {
		if len(table) > 0 && !src.answers(table) {
			continue
		}
		for _, c := range src.columns {
			e := typed{sql: src.sql + "." + Ident(c.Name), typ: c.Type, nullable: c.Nullable || src.outer, strength: implicit, name: c.Name}
			out = append(out, b.groups.representative(e))
		}
	}
	if len(out) == 0 {
		if len(table) > 0 {
			return nil, fail(107, "The column prefix '%s' does not match with a table name or alias name used in the query.", strings.Join(table, "."))
		}
		return nil, fail(263, "Must specify table to select from.")
	}
	return out, nil
}

// tail translates ORDER BY, TOP, OFFSET and FETCH of a single SELECT.
func (b *binder) tail(s *tsql.Select, q *tsql.Query, r result) (string, error) {
	var parts []string
	for _, o := range q.Order {
		e, err := b.orderItem(o.X, r)
		if err != nil {
			return "", err
		}
		k, err := sortKey(e, o.Desc)
		if err != nil {
			return "", err
		}
		parts = append(parts, k)
	}
	sql := ""
	if len(parts) > 0 {
		sql = " ORDER BY " + strings.Join(parts, ", ")
	}
	limits, err := b.limits(s.Top, q)
	return sql + limits, err
}

func (b *binder) limits(top tsql.Expr, q *tsql.Query) (string, error) {
	count := func(x tsql.Expr) (string, error) {
		e, err := b.value(x)
		if err != nil {
			return "", err
		}
		if !e.typ.IsInteger() {
			return "", fail(1060, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.")
		}
		return "(" + e.sql + ")::int8", nil
	}
	sql := ""
	if top != nil && q.Offset != nil {
		return "", fail(10741, "A TOP can not be used in the same query or sub-query as a OFFSET.")
	}
	if q.Offset != nil {
		n, err := count(q.Offset)
		if err != nil {
			return "", err
		}
		sql += " OFFSET " + n
	}
	if limit := q.Fetch; limit != nil || top != nil {
		if limit == nil {
			limit = top
		}
		n, err := count(limit)
		if err != nil {
			return "", err
		}
		sql += " LIMIT " + n
	}
	return sql, nil
}

// orderItem finds what an item of ORDER BY means: an output column by its alias or number, or an expression.
func (b *binder) orderItem(x tsql.Expr, r result) (typed, error) {
	if n, ok := x.(*tsql.Number); ok {
		i, err := strconv.Atoi(n.Text)
		if err != nil || i < 1 || i > len(r.items) {
			return typed{}, fail(108, "The ORDER BY position number %s is out of range of the number of items in the select list.", n.Text)
		}
		return r.items[i-1], nil
	}
	if c, ok := x.(*tsql.Column); ok && len(c.Table) == 0 {
		for _, e := range r.items {
			if strings.EqualFold(e.name, c.Name) {
				return e, nil
			}
		}
	}
	return b.value(x)
}

// orderOutput sorts a query whose rows must be whole before: they become a table whose columns are sorted by.
func (b *binder) orderOutput(r result, q *tsql.Query) (result, error) {
	alias := b.fresh()
	var names, items []string
	var outer result
	for i, c := range r.columns {
		n := fmt.Sprintf("c%d", i+1)
		names = append(names, n)
		items = append(items, Ident(alias)+"."+n)
		outer.items = append(outer.items, typed{sql: Ident(alias) + "." + n, typ: c.Type, name: c.Name, strength: implicit})
	}
	var parts []string
	for _, o := range q.Order {
		c, column := o.X.(*tsql.Column)
		if _, number := o.X.(*tsql.Number); !number && (!column || len(c.Table) > 0) {
			return r, refuse("ORDER BY an expression behind DISTINCT or a set operation")
		}
		known := !column
		for _, e := range outer.items {
			known = known || strings.EqualFold(e.name, c.Name)
		}
		if !known {
			return r, fail(104, "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.")
		}
		e, err := b.orderItem(o.X, outer)
		if err != nil {
			return r, err
		}
		k, err := sortKey(e, o.Desc)
		if err != nil {
			return r, err
		}
		parts = append(parts, k)
	}
	limits, err := b.limits(nil, q)
	r.sql = fmt.Sprintf("SELECT %s FROM (%s) AS %s(%s) ORDER BY %s%s",
		strings.Join(items, ", "), r.sql, Ident(alias), strings.Join(names, ", "), strings.Join(parts, ", "), limits)
	return r, err
}

// setOp translates UNION, INTERSECT and EXCEPT. Rows are compared, except by UNION ALL, so text is replaced by its
// key where nobody sees the rows, and refused elsewhere.
func (b *binder) setOp(s *tsql.SetOp, use queryUse) (result, error) {
	l, err := b.body(s.L, use)
	if err != nil {
		return l, err
	}
	r, err := b.body(s.R, use)
	if err != nil {
		return r, err
	}
	if len(l.columns) != len(r.columns) {
		return l, fail(205, "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.")
	}
	var ls, rs []string
	la, ra := b.fresh(), b.fresh()
	out := result{}
	for i := range l.columns {
		n := fmt.Sprintf(".c%d", i+1)
		pair := []typed{
			{sql: Ident(la) + n, typ: l.columns[i].Type, strength: l.strengths[i], nullable: l.columns[i].Nullable},
			{sql: Ident(ra) + n, typ: r.columns[i].Type, strength: r.strengths[i], nullable: r.columns[i].Nullable},
		}
		t, err := b.pair(pair, s.Op, use)
		if err != nil {
			return l, err
		}
		ls, rs = append(ls, pair[0].sql), append(rs, pair[1].sql)
		out.columns = append(out.columns, Column{Name: l.columns[i].Name, Type: t.typ, Nullable: t.nullable})
		out.strengths = append(out.strengths, t.strength)
	}
	names := func() string {
		var parts []string
		for i := range out.columns {
			parts = append(parts, fmt.Sprintf("c%d", i+1))
		}
		return strings.Join(parts, ", ")
	}()
	out.sql = fmt.Sprintf("(SELECT %s FROM (%s) AS %s(%s)) %s (SELECT %s FROM (%s) AS %s(%s))",
		strings.Join(ls, ", "), l.sql, Ident(la), names, s.Op, strings.Join(rs, ", "), r.sql, Ident(ra), names)
	return out, nil
}

// pair unifies two columns that a set operation puts into one, and returns its type.
func (b *binder) pair(pair []typed, op string, use queryUse) (typed, error) {
	if pair[0].typ.IsText() && pair[1].typ.IsText() {
		c, s, err := collate(pair[0], pair[1])
		if err != nil {
			return typed{}, err
		}
		t := typed{typ: stronger(pair[0].typ, pair[1].typ), strength: s, nullable: pair[0].nullable || pair[1].nullable}
		t.typ.Collation = c
		switch {
		case op == "UNION ALL":
		case !use.exists:
			return typed{}, refuse("%s of text whose rows are seen", op)
		default:
			pair[0].sql, pair[1].sql = equalKey(pair[0].sql, c), equalKey(pair[1].sql, c)
		}
		return t, nil
	}
	if pair[0].typ.IsBinary() && pair[1].typ.IsBinary() && op != "UNION ALL" {
		if !use.exists {
			return typed{}, refuse("%s of binary values whose rows are seen", op)
		}
		pair[0].sql, pair[1].sql = binaryKey(pair[0].sql), binaryKey(pair[1].sql)
		return typed{typ: stronger(pair[0].typ, pair[1].typ), nullable: pair[0].nullable || pair[1].nullable}, nil
	}
	if pair[0].typ == pair[1].typ {
		return typed{typ: pair[0].typ, nullable: pair[0].nullable || pair[1].nullable}, nil
	}
	return b.unify(pair)
}

func (b *binder) body(x tsql.Body, use queryUse) (result, error) {
	if s, ok := x.(*tsql.Select); ok {
		return b.selectBody(s, nil, use)
	}
	return b.setOp(x.(*tsql.SetOp), use)
}
