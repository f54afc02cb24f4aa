package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Key inference. In join order, each input adds those columns of its primary key that what came before
// does not determine: a parent found by its key adds nothing, a child adds what tells its rows apart. The
// key so found identifies a row of the result. It keeps the key of the first input even where a later one
// would determine it, because rows of one thing then stay together. Columns of the SELECT list that are
// always equal to a key column stand for it; key columns that the list lacks are added as hidden ones. The
// order is that of the SELECT list, then the hidden ones in join order.

// keyRules is what is known of a view's functional dependencies, in the numbering of sources.
type keyRules struct {
	c     *compiler
	same  []edge // equalities that hold in every row of the result, either side determining the other
	fixed []ref  // columns equal to a constant in every row
	known map[ref]bool
}

func (c *compiler) keyRules() *keyRules {
	k := &keyRules{c: c, known: map[ref]bool{}}
	for _, e := range c.edges {
		if e.as.exact() {
			k.same = append(k.same, e)
		}
	}
	for _, n := range c.where {
		eq, ok := n.(*comparison)
		if !ok || eq.op != "=" || eq.by.kind == cmpText && !eq.by.text.exact() {
			continue
		}
		l, lok := eq.l.(*column)
		r, rok := eq.r.(*column)
		switch {
		case lok && rok:
			k.same = append(k.same, edge{columnPair: columnPair{a: ref{l.input, l.col}, b: ref{r.input, r.col}}})
		case lok && eq.r.info().isLit:
			k.fixed = append(k.fixed, ref{l.input, l.col})
		case rok && eq.l.info().isLit:
			k.fixed = append(k.fixed, ref{r.input, r.col})
		}
	}
	for _, f := range k.fixed {
		k.known[f] = true
	}
	k.close()
	return k
}

// close adds everything that the known columns determine.
func (k *keyRules) close() {
	for grown := true; grown; {
		grown = false
		learn := func(r ref) {
			if !k.known[r] {
				k.known[r], grown = true, true
			}
		}
		for _, e := range k.same {
			if k.known[e.a] {
				learn(e.b)
			}
			if k.known[e.b] {
				learn(e.a)
			}
		}
		for pos := range k.c.plan.Inputs {
			if i := slices.Index(k.c.scope.position, pos); k.rowKnown(i, pos) {
				for col := range k.c.scope.sources[i].table.Columns {
					learn(ref{i, col})
				}
			}
		}
	}
}

// rowKnown reports whether the known columns determine the row of source i (or that it has none).
func (k *keyRules) rowKnown(i, pos int) bool {
	table := k.c.scope.sources[i].table
	viaJoin := k.filterKnown(pos)
	for _, col := range table.Key {
		if k.known[ref{i, col}] {
			continue
		}
		if !viaJoin || !k.reached(ref{i, col}, pos) {
			return false
		}
	}
	return true
}

// filterKnown reports whether the rest of a LEFT JOIN's condition depends on known columns only: else
// whether there is a match is not determined.
func (k *keyRules) filterKnown(pos int) bool {
	in := k.c.plan.Inputs[pos]
	if !in.Left || in.OnFilter == nil {
		return true
	}
	ok := true
	visitColumns(in.OnFilter.(node), func(c *column) {
		ok = ok && (k.c.scope.position[c.input] == pos || k.known[ref{c.input, c.col}])
	})
	return ok
}

// reached reports whether a join equality determines the key column r, up to what its key tells apart.
func (k *keyRules) reached(r ref, pos int) bool {
	in := k.c.plan.Inputs[pos]
	fits := func(as Comparison) bool { return Equality{Column: r.col, As: as}.tellsApart(in.Table) }
	if in.Left {
		parent := slices.Index(k.c.scope.position, in.Parent)
		return slices.ContainsFunc(in.On, func(e Equality) bool {
			return e.Column == r.col && fits(e.As) && k.known[ref{parent, e.ParentColumn}]
		})
	}
	return slices.ContainsFunc(k.c.edges, func(e edge) bool {
		return e.a == r && fits(e.as) && k.known[e.b] || e.b == r && fits(e.as) && k.known[e.a]
	})
}

// tellsApart reports whether rows of the table that differ in the column, as its key tells them apart, are
// never equal under the join's comparison.
func (e Equality) tellsApart(t *change.Table) bool {
	if e.As.exact() {
		return true
	}
	col := collationOf(t.Columns[e.Column].Type.Collation)
	return col != nil && col.id == e.As
}

// keyColumn is a column of the output key.
type keyColumn struct {
	ref
	out int // index in the output
	why string
}

// inferKey finds the output key and adds hidden columns.
func (c *compiler) inferKey() {
	k := c.keyRules()
	var cols []keyColumn
	for pos, in := range c.plan.Inputs {
		i := slices.Index(c.scope.position, pos)
		for _, col := range in.Table.Key {
			r := ref{i, col}
			if k.known[r] {
				continue
			}
			if len(in.On) > 0 && k.filterKnown(pos) && k.reached(r, pos) {
				continue // the join fixes it as far as this table's key tells rows apart
			}
			k.known[r] = true
			cols = append(cols, keyColumn{ref: r, out: c.standIn(r, k), why: c.reason(pos, in, len(cols))})
			k.close()
		}
	}
	if len(cols) == 0 { // every input is fixed by constants: one row at most
		r := ref{slices.Index(c.scope.position, 0), c.plan.Inputs[0].Table.Key[0]}
		cols = append(cols, keyColumn{ref: r, out: c.standIn(r, k), why: "conditions leave one row at most"})
	}
	for n := range cols {
		if cols[n].out < 0 {
			cols[n].out = len(c.plan.Select)
			c.hide(cols[n].ref)
		}
	}
	slices.SortStableFunc(cols, func(a, b keyColumn) int { return a.out - b.out })
	for _, kc := range cols {
		if !slices.Contains(c.plan.Output.Key, kc.out) {
			c.plan.Output.Key = append(c.plan.Output.Key, kc.out)
			c.plan.keyReasons = append(c.plan.keyReasons, kc.why)
		}
	}
}

func (c *compiler) reason(pos int, in Input, before int) string {
	switch {
	case pos == 0:
		return "key of the first table"
	case before == 0:
		return fmt.Sprintf("key of %s", in.Alias)
	}
	return fmt.Sprintf("tells apart the rows of %s that join one row of %s", in.Alias, c.plan.Inputs[in.Parent].Alias)
}

// standIn returns the first output column that always equals a key column, or -1.
func (c *compiler) standIn(r ref, k *keyRules) int {
	class := []ref{r}
	for n := 0; n < len(class); n++ {
		for _, e := range k.same {
			for _, other := range []ref{e.a, e.b} {
				if (e.a == class[n] || e.b == class[n]) && !slices.Contains(class, other) {
					class = append(class, other)
				}
			}
		}
	}
	return slices.IndexFunc(c.plan.Select, func(e Expr) bool {
		col, ok := e.(*column)
		return ok && slices.Contains(class, ref{col.input, col.col})
	})
}

// hide adds a hidden output column.
func (c *compiler) hide(r ref) {
	n := c.scope.columnNode(r.input, r.col)
	name := c.scope.sources[r.input].alias + "_" + c.tableOf(r).Columns[r.col].Name
	if runes := []rune(name); len(runes) > 60 {
		name = string(runes[:60])
	}
	for try, plain := 2, name; c.plan.Output.Column(name) >= 0; try++ {
		name = fmt.Sprintf("%s_%d", plain, try)
	}
	c.output(c.plan.Output, name, n)
	c.plan.Hidden++
	c.hidden = append(c.hidden, n.String()+" AS "+quoteName(name))
}

// selectSQL is the view's text with tables qualified and hidden columns added.
func (c *compiler) selectSQL() string {
	var ins []insertion
	for _, src := range c.scope.sources {
		if !src.qualified {
			ins = append(ins, insertion{src.at, quoteName(src.table.ID.DB) + "."})
		}
	}
	if len(c.hidden) > 0 {
		ins = append(ins, insertion{c.layout.listEnd, ", " + strings.Join(c.hidden, ", ")})
	}
	return c.layout.rewrite(c.src, ins)
}

// renumber turns source numbers in expressions into input numbers.
func (c *compiler) renumber() {
	seen := map[*column]bool{}
	visit := func(e Expr) {
		if e == nil {
			return
		}
		visitColumns(e.(node), func(col *column) {
			if !seen[col] {
				seen[col] = true
				col.input = c.scope.position[col.input]
			}
		})
	}
	for _, e := range c.plan.Select {
		visit(e)
	}
	visit(c.plan.Where)
	for _, in := range c.plan.Inputs {
		visit(in.OnFilter)
		visit(in.Filter)
	}
}

// keyNames returns the names of a table's key columns.
func keyNames(t *change.Table) []string {
	names := make([]string, len(t.Key))
	for i, k := range t.Key {
		names[i] = t.Columns[k].Name
	}
	return names
}
