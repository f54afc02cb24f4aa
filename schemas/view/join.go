package view

import (
	"slices"
	"sort"

	"github.com/etlsandbox/cdc/schemas/change"
)

// edge is an equality between columns of two inputs.
type edge struct {
	columnPair
	as Comparison
}

// other returns the edge seen from input i: its own column and the other side's.
func (e edge) from(i int) (own, other ref) {
	if e.a.input == i {
		return e.a, e.b
	}
	return e.b, e.a
}

// join turns sources and conditions into the plan's inputs and filters.
func (c *compiler) join() error {
	rest, err := c.innerEdges()
	if err != nil {
		return err
	}
	if err := c.checkTree(); err != nil {
		return err
	}
	lefts, err := c.leftEdges()
	if err != nil {
		return err
	}
	order, err := c.order(lefts)
	if err != nil {
		return err
	}
	c.place(order, lefts)
	for _, e := range c.edges {
		c.scope.notNull[e.a], c.scope.notNull[e.b] = true, true
	}
	if err := c.leftFilters(lefts); err != nil {
		return err
	}
	return c.filters(rest)
}

// innerEdges takes the equalities between preserved inputs out of the pool; the rest are filters. An
// inner join onto the right side of a LEFT JOIN drops the rows without a match: that LEFT JOIN is an
// inner one.
func (c *compiler) innerEdges() (rest []conjunct, err error) {
	for k := 0; k < len(c.pool); k++ {
		cj := c.pool[k]
		p, eq, ok, err := c.pairOf(cj)
		if err != nil {
			return nil, err
		}
		if !ok {
			rest = append(rest, cj)
			continue
		}
		for _, side := range []int{p.a.input, p.b.input} {
			if src := c.scope.sources[side]; src.left && cj.fromOn {
				src.left = false
				c.pool = append(c.pool, src.on...)
				src.on = nil
			}
		}
		if c.scope.sources[p.a.input].left || c.scope.sources[p.b.input].left {
			rest = append(rest, cj)
			continue
		}
		as, err := joinClass(eq)
		if err != nil {
			return nil, refuseIn(err, p.at)
		}
		c.edges = append(c.edges, edge{p, as})
	}
	return rest, nil
}

// joinClass is the class under which two join columns compare.
func joinClass(eq *comparison) (Comparison, error) {
	a, b := eq.l.info(), eq.r.info()
	switch eq.by.kind {
	case cmpText:
		if a.class == classBytes && b.class == classBytes {
			return CompareSame, nil
		}
		return eq.by.text.id, nil
	case cmpDouble:
		if a.typ.Kind != b.typ.Kind {
			return 0, refuse("join on integers or decimals", "a join of a floating point number with another kind is not exact")
		}
		return CompareSame, nil
	}
	switch {
	case a.typ.Kind == b.typ.Kind:
		return CompareSame, nil
	case eq.by.kind == cmpMoment:
		return CompareMoment, nil
	}
	return CompareNumber, nil
}

// checkTree refuses cycles and inputs that nothing joins.
func (c *compiler) checkTree() error {
	group := make([]int, len(c.scope.sources))
	for i := range group {
		group[i] = i
	}
	var find func(int) int
	find = func(i int) int {
		if group[i] != i {
			group[i] = find(group[i])
		}
		return group[i]
	}
	seen := map[[2]int]bool{}
	for _, e := range c.edges {
		pair := [2]int{min(e.a.input, e.b.input), max(e.a.input, e.b.input)}
		if seen[pair] {
			continue
		}
		seen[pair] = true
		x, y := find(pair[0]), find(pair[1])
		if x == y {
			return refuseAt(e.at, "leave out the equality that follows from the others, or drop one of the tables",
				"the joins form a cycle: %s and %s are joined already through other tables",
				c.scope.sources[pair[0]].alias, c.scope.sources[pair[1]].alias)
		}
		group[x] = y
	}
	root := find(0)
	for i, src := range c.scope.sources {
		if !src.left && find(i) != root {
			return refuseAt(src.at, "add ON "+src.alias+".column = ...", "no equality joins %s to the tables before it", src.alias)
		}
	}
	return nil
}

// leftJoin is the join of one nullable input.
type leftJoin struct {
	parent int
	pairs  []edge
	rest   []conjunct
	// needs are inputs that rest refers to.
	needs []int
}

// leftEdges splits the condition of each LEFT JOIN: equalities with one parent, and the rest.
func (c *compiler) leftEdges() (map[int]*leftJoin, error) {
	lefts := map[int]*leftJoin{}
	for i, src := range c.scope.sources {
		if !src.left {
			continue
		}
		lj := &leftJoin{parent: -1}
		lefts[i] = lj
		for _, cj := range src.on {
			p, eq, ok, err := c.pairOf(cj)
			if err != nil {
				return nil, err
			}
			if ok && (p.a.input == i || p.b.input == i) {
				_, other := edge{columnPair: p}.from(i)
				if lj.parent < 0 || lj.parent == other.input {
					as, err := joinClass(eq)
					if err != nil {
						return nil, refuseIn(err, p.at)
					}
					lj.parent = other.input
					lj.pairs = append(lj.pairs, edge{p, as})
					continue
				}
			}
			lj.rest = append(lj.rest, cj)
		}
		if lj.parent < 0 {
			return nil, refuseAt(src.at, "add ON "+src.alias+".column = ...", "no equality joins %s to the tables before it", src.alias)
		}
	}
	return lefts, nil
}

// order finds a sequence in which every input follows its parent: the order of FROM as far as it goes.
func (c *compiler) order(lefts map[int]*leftJoin) ([]int, error) {
	n := len(c.scope.sources)
	placed := make([]bool, n)
	order := make([]int, 0, n)
	// the needs of left joins' further conditions are found by building them once
	for i, lj := range lefts {
		for _, cj := range lj.rest {
			e, err := c.builderFor(cj)
			if err != nil {
				return nil, err
			}
			for _, in := range inputsOf(e) {
				if in != i {
					lj.needs = append(lj.needs, in)
				}
			}
		}
	}
	ready := func(i int) bool {
		if lj := lefts[i]; lj != nil {
			return placed[lj.parent] && !slices.ContainsFunc(lj.needs, func(k int) bool { return !placed[k] })
		}
		return len(order) == 0 || slices.ContainsFunc(c.edges, func(e edge) bool {
			return e.a.input == i && placed[e.b.input] || e.b.input == i && placed[e.a.input]
		})
	}
	for len(order) < n {
		next := slices.IndexFunc(c.scope.sources, func(s *source) bool {
			i := slices.Index(c.scope.sources, s)
			return !placed[i] && ready(i)
		})
		if next < 0 {
			return nil, refuseAt(c.scope.sources[0].at, "", "the tables cannot be brought into an order of joins")
		}
		placed[next] = true
		order = append(order, next)
	}
	return order, nil
}

func (c *compiler) builderFor(cj conjunct) (node, error) {
	if cj.using != nil {
		return c.usingNode(cj)
	}
	n, err := c.builder(cj.lo, cj.hi).build(cj.expr)
	if err != nil {
		return nil, err
	}
	if err := condition(n); err != nil {
		return nil, refuseIn(err, cj.expr.OriginTextPosition())
	}
	if k := n.info().class; k == classDecimal || k == classDouble {
		return newIsTruth(n, true, false)
	}
	return n, nil
}

// place puts sources, pool, edges and left joins into the order, and makes the plan's inputs.
func (c *compiler) place(order []int, lefts map[int]*leftJoin) {
	at := make([]int, len(order)) // source index -> input index
	for pos, i := range order {
		at[i] = pos
	}
	c.scope.position = at
	for pos, i := range order {
		src := c.scope.sources[i]
		in := Input{Alias: src.alias, Table: src.table, Left: src.left, Parent: -1}
		pairs := c.edges
		if lj := lefts[i]; lj != nil {
			pairs = lj.pairs
		}
		for _, e := range pairs {
			if e.a.input != i && e.b.input != i {
				continue
			}
			own, other := e.from(i)
			if at[other.input] < pos {
				in.Parent = at[other.input]
				in.On = append(in.On, Equality{ParentColumn: other.col, Column: own.col, As: e.as})
			}
		}
		c.plan.Inputs = append(c.plan.Inputs, in)
	}
}

// leftFilters builds what is left of the conditions of LEFT JOINs.
func (c *compiler) leftFilters(lefts map[int]*leftJoin) error {
	for i, lj := range lefts {
		var all node
		for _, cj := range lj.rest {
			n, err := c.builderFor(cj)
			if err != nil {
				return err
			}
			all = and(all, n)
		}
		if all != nil {
			c.plan.Inputs[c.scope.position[i]].OnFilter = all
		}
	}
	return nil
}

// filters builds WHERE and the conditions of inner joins that are no join equalities.
func (c *compiler) filters(rest []conjunct) error {
	filters := make([]node, len(c.plan.Inputs))
	var where node
	for _, cj := range rest {
		n, err := c.builderFor(cj)
		if err != nil {
			return err
		}
		used := inputsOf(n)
		if len(used) == 1 && !c.scope.sources[used[0]].left {
			pos := c.scope.position[used[0]]
			filters[pos] = and(filters[pos], n)
		} else {
			where = and(where, n)
		}
		c.where = append(c.where, n)
	}
	for pos, f := range filters {
		if f != nil {
			c.plan.Inputs[pos].Filter = f
		}
	}
	if where != nil {
		c.plan.Where = where
	}
	return nil
}

func and(a, b node) node {
	if a == nil {
		return b
	}
	return &logic{boolBase("("+a.String()+" AND "+b.String()+")", a.Nullable() || b.Nullable()), "AND", a, b}
}

// finish renumbers columns to the order of inputs and completes the plan.
func (c *compiler) finish() *Plan {
	p := c.plan
	at := c.scope.position
	for r := range c.scope.used {
		in := &p.Inputs[at[r.input]]
		in.Columns = append(in.Columns, r.col)
	}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		in.Columns = append(in.Columns, in.Table.Key...)
		sort.Ints(in.Columns)
		in.Columns = slices.Compact(in.Columns)
	}
	c.renumber()
	p.SQL = c.selectSQL()
	p.Hash = hashOf(p)
	return p
}

// tableOf returns the table of an input's reference in source numbering.
func (c *compiler) tableOf(r ref) *change.Table { return c.scope.sources[r.input].table }
