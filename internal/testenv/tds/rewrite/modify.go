package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// joinedTarget is the table that an UPDATE or DELETE changes, taken out of its FROM clause.
type joinedTarget struct {
	table *Table
	alias string
	// from are the other tables, where what their joins ask for.
	from, where []string
}

// joined finds the target and flattens the joins around it, because PostgreSQL wants it outside of FROM.
func (b *binder) joined(ref tsql.TableRef, from []tsql.Table, where tsql.Expr) (joinedTarget, error) {
	var out joinedTarget
	at := findTarget(ref, from)
	if at == nil {
		at = &tsql.TableRef{Name: ref.Name}
	}
	table, err := b.target(at.Name)
	if err != nil {
		return out, err
	}
	hints := append(append([]string(nil), ref.Hints...), at.Hints...)
	if _, err := b.lock(table, hints, true); err != nil {
		return out, err
	}
	out.table, out.alias = table, at.Alias
	if out.alias == "" {
		out.alias = at.Name.Last()
	}
	if err := b.add(&source{alias: out.alias, sql: Ident(out.alias), columns: table.Columns, table: table}); err != nil {
		return out, err
	}
	var on []tsql.Expr
	for _, t := range from {
		if err := b.flatten(t, at, &out, &on); err != nil {
			return out, err
		}
	}
	for _, x := range on {
		p, err := b.predicate(x)
		if err != nil {
			return out, err
		}
		out.where = append(out.where, p)
	}
	if where != nil {
		p, err := b.predicate(where)
		if err != nil {
			return out, err
		}
		out.where = append(out.where, p)
	}
	return out, nil
}

// findTarget looks for the target among the tables of FROM: an alias, or a table of that name.
func findTarget(ref tsql.TableRef, from []tsql.Table) *tsql.TableRef {
	var found *tsql.TableRef
	for _, t := range from {
		walkTables(t, func(r *tsql.TableRef) {
			name := r.Alias
			if name == "" {
				name = r.Name.Last()
			}
			sameName := strings.EqualFold(strings.Join(r.Name, "."), strings.Join(ref.Name, "."))
			if len(ref.Name) == 1 && strings.EqualFold(name, ref.Name[0]) || found == nil && sameName {
				found = r
			}
		})
	}
	return found
}

func walkTables(t tsql.Table, visit func(*tsql.TableRef)) {
	switch t := t.(type) {
	case *tsql.TableRef:
		visit(t)
	case *tsql.Join:
		walkTables(t.L, visit)
		walkTables(t.R, visit)
	case *tsql.Apply:
		walkTables(t.L, visit)
		walkTables(t.R, visit)
	}
}

// flatten puts a source of rows beside the target. Around the target itself inner joins alone can be taken apart.
func (b *binder) flatten(t tsql.Table, target *tsql.TableRef, out *joinedTarget, on *[]tsql.Expr) error {
	holds := false
	walkTables(t, func(r *tsql.TableRef) { holds = holds || r == target })
	if !holds {
		sql, locking, err := b.tableSource(t)
		if err != nil {
			return err
		}
		if len(locking) > 0 {
			return refuse("UPDLOCK and XLOCK on a table that an UPDATE or DELETE only reads")
		}
		out.from = append(out.from, sql)
		return nil
	}
	j, ok := t.(*tsql.Join)
	switch {
	case t == tsql.Table(target):
		return nil
	case !ok || j.Kind != "INNER" && j.Kind != "CROSS":
		return refuse("an outer join or APPLY around the table that an UPDATE or DELETE changes")
	}
	if err := b.flatten(j.L, target, out, on); err != nil {
		return err
	}
	if err := b.flatten(j.R, target, out, on); err != nil {
		return err
	}
	if j.On != nil {
		*on = append(*on, j.On)
	}
	return nil
}

func conditions(where []string) string {
	if len(where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(where, " AND ")
}

// Update translates an UPDATE.
func (t *Translator) Update(ctx context.Context, x *tsql.Update) (Query, error) {
	b := t.binder(ctx)
	with, done, err := b.with(x.With)
	if err != nil {
		return Query{}, err
	}
	defer done()
	defer b.push()()
	j, err := b.joined(x.Target, x.From, x.Where)
	if err != nil {
		return Query{}, err
	}
	var sets []string
	for _, a := range x.Set {
		c, err := j.table.column(a.Column)
		if err != nil {
			return Query{}, err
		}
		if c.Identity {
			return Query{}, fail(8102, "Cannot update identity column '%s'.", c.Name)
		}
		value := a.X
		if a.Op != "=" {
			value = &tsql.Binary{Op: a.Op[:1], L: &tsql.Column{Table: tsql.Name{j.alias}, Name: a.Column}, R: a.X}
		}
		e, err := b.value(value)
		if err != nil {
			return Query{}, err
		}
		s, err := b.stored(e, c, j.table)
		if err != nil {
			return Query{}, err
		}
		sets = append(sets, Ident(c.Name)+" = "+s)
	}
	if x.Top != nil {
		if err := b.limitTarget(&j, x.Top); err != nil {
			return Query{}, err
		}
	}
	sql := fmt.Sprintf("UPDATE %s AS %s SET %s", j.table.SQL(), Ident(j.alias), strings.Join(sets, ", "))
	if len(j.from) > 0 {
		sql += " FROM " + strings.Join(j.from, ", ")
	}
	sql += conditions(j.where)
	if x.Output != nil {
		for _, i := range x.Output.Items {
			if usesDeleted(i) {
				return Query{}, refuse("OUTPUT deleted of an UPDATE")
			}
		}
		b.outputNames("inserted", j)
	}
	return b.finish(with, sql, x.Output)
}

func usesDeleted(i tsql.Item) bool {
	if i.Star {
		return len(i.Table) == 1 && strings.EqualFold(i.Table[0], "deleted")
	}
	found := false
	walkExpr(i.X, func(x tsql.Expr) {
		if c, ok := x.(*tsql.Column); ok && len(c.Table) == 1 && strings.EqualFold(c.Table[0], "deleted") {
			found = true
		}
	})
	return found
}

// outputNames lets OUTPUT speak of the changed rows under the name that T-SQL gives them.
func (b *binder) outputNames(name string, j joinedTarget) {
	b.scope.sources = append(b.scope.sources[1:], &source{alias: name, sql: Ident(j.alias), columns: j.table.Columns})
}

// limitTarget lets at most so many rows of the target be changed.
func (b *binder) limitTarget(j *joinedTarget, top tsql.Expr) error {
	if len(j.from) > 0 {
		return refuse("TOP in an UPDATE or DELETE with further tables")
	}
	limit, err := b.limits(top, &tsql.Query{})
	if err != nil {
		return err
	}
	alias := Ident(j.alias)
	inner := fmt.Sprintf("SELECT %s.ctid FROM %s AS %s%s%s FOR UPDATE", alias, j.table.SQL(), alias, conditions(j.where), limit)
	j.where = []string{fmt.Sprintf("%s.ctid IN (%s)", alias, inner)}
	return nil
}

// Delete translates a DELETE.
func (t *Translator) Delete(ctx context.Context, x *tsql.Delete) (Query, error) {
	b := t.binder(ctx)
	with, done, err := b.with(x.With)
	if err != nil {
		return Query{}, err
	}
	defer done()
	defer b.push()()
	j, err := b.joined(x.Target, x.From, x.Where)
	if err != nil {
		return Query{}, err
	}
	if x.Top != nil {
		if err := b.limitTarget(&j, x.Top); err != nil {
			return Query{}, err
		}
	}
	sql := fmt.Sprintf("DELETE FROM %s AS %s", j.table.SQL(), Ident(j.alias))
	if len(j.from) > 0 {
		sql += " USING " + strings.Join(j.from, ", ")
	}
	sql += conditions(j.where)
	b.outputNames("deleted", j)
	return b.finish(with, sql, x.Output)
}

// walkExpr visits an expression and the expressions in it, but no queries.
func walkExpr(x tsql.Expr, visit func(tsql.Expr)) {
	if x == nil {
		return
	}
	visit(x)
	var children []tsql.Expr
	switch x := x.(type) {
	case *tsql.Unary:
		children = []tsql.Expr{x.X}
	case *tsql.Binary:
		children = []tsql.Expr{x.L, x.R}
	case *tsql.Call:
		children = x.Args
	case *tsql.Cast:
		children = []tsql.Expr{x.X}
	case *tsql.Case:
		children = append(children, x.Of, x.Else)
		for _, w := range x.Whens {
			children = append(children, w.If, w.Then)
		}
	case *tsql.Collate:
		children = []tsql.Expr{x.X}
	case *tsql.Compare:
		children = []tsql.Expr{x.L, x.R}
	case *tsql.Logic:
		children = []tsql.Expr{x.L, x.R}
	case *tsql.Not:
		children = []tsql.Expr{x.X}
	case *tsql.IsNull:
		children = []tsql.Expr{x.X}
	}
	for _, c := range children {
		walkExpr(c, visit)
	}
}
