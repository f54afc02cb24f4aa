package view

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"github.com/etlsandbox/cdc/schemas/change"
)

// maxInputs bounds the tables of a view: MySQL joins at most 61.
const maxInputs = 61

// from flattens a tree of joins into sources and conditions; it returns the index of its first source.
func (c *compiler) from(n ast.ResultSetNode) (lo int, err error) {
	switch n := n.(type) {
	case *ast.TableSource:
		return len(c.scope.sources), c.table(n)
	case *ast.Join:
		return c.joinTree(n)
	}
	return 0, refuseAt(c.layout.takeTable(), "join tables", "this table reference is not supported")
}

func (c *compiler) joinTree(j *ast.Join) (int, error) {
	lo, err := c.from(j.Left)
	if err != nil || j.Right == nil {
		return lo, err
	}
	at := c.layout.peek()
	switch {
	case j.Tp == ast.RightJoin:
		return lo, refuseAt(at, "turn it around: B LEFT JOIN A", "RIGHT JOIN is not supported")
	case j.NaturalJoin:
		return lo, refuseAt(at, "JOIN ... USING (columns)", "NATURAL JOIN is not supported: a new column would change the view")
	case j.StraightJoin:
		return lo, refuseAt(at, "write JOIN", "STRAIGHT_JOIN means nothing here")
	}
	left := j.Tp == ast.LeftJoin
	if nested, ok := j.Right.(*ast.Join); ok && left && nested.Right != nil {
		return lo, refuseAt(at, "LEFT JOIN one table after the other", "a join in parentheses on the right of a LEFT JOIN is not supported")
	}
	mid := len(c.scope.sources)
	if _, err := c.from(j.Right); err != nil {
		return lo, err
	}
	hi := len(c.scope.sources)
	if left {
		c.scope.sources[hi-1].left = true
	}
	if len(j.Using) > 0 {
		return lo, c.using(j.Using, lo, mid, hi, left)
	}
	if j.On == nil {
		if left {
			return lo, refuseAt(at, "add ON", "a LEFT JOIN needs a condition")
		}
		return lo, nil
	}
	if left {
		src := c.scope.sources[hi-1]
		for _, e := range splitAnd(j.On.Expr) {
			src.on = append(src.on, conjunct{expr: e, lo: lo, hi: hi, fromOn: true})
		}
		return lo, nil
	}
	c.addConjuncts(j.On.Expr, lo, hi, true)
	return lo, nil
}

// peek is the place of the next table that takeTable will return.
func (l *layout) peek() int {
	if l.next < len(l.tables) {
		return l.tables[l.next]
	}
	return l.selectAt
}

// table adds a table reference.
func (c *compiler) table(ts *ast.TableSource) error {
	at := c.layout.takeTable()
	name, ok := ts.Source.(*ast.TableName)
	switch {
	case !ok:
		return refuseAt(at, "write it as a JOIN", "subqueries are not supported")
	case len(name.PartitionNames) > 0 || name.TableSample != nil || name.AsOf != nil:
		return refuseAt(at, "use WHERE", "a part of a table cannot be joined")
	case len(name.IndexHints) > 0:
		return refuseAt(at, "leave it out", "index hints mean nothing here")
	case len(c.scope.sources) == maxInputs:
		return refuseAt(at, "split the view", "a view joins at most %d tables", maxInputs)
	}
	t, err := c.cat.Table(change.TableID{DB: name.Schema.O, Name: name.Name.O})
	if err != nil {
		return refuseAt(at, "check the name and source.tables in the configuration", "table %s: %s", name.Name.O, err)
	}
	if t == nil {
		return refuseAt(at, "check the name and source.tables in the configuration", "table %s is not known", name.Name.O)
	}
	if len(t.Key) == 0 {
		return refuseAt(at, "ALTER TABLE "+name.Name.O+" ADD PRIMARY KEY (...)", "table %s has no primary key", t.ID)
	}
	src := &source{alias: ts.AsName.O, aliased: ts.AsName.O != "", table: t, at: at, qualified: name.Schema.O != ""}
	if !src.aliased {
		src.alias = name.Name.O
	}
	for _, o := range c.scope.sources {
		if strings.EqualFold(o.alias, src.alias) {
			return refuseAt(at, "give it an alias: "+name.Name.O+" AS other", "two tables are called %s", src.alias)
		}
	}
	c.scope.sources = append(c.scope.sources, src)
	return nil
}

// using turns USING (a, b) into equalities.
func (c *compiler) using(cols []*ast.ColumnName, lo, mid, hi int, left bool) error {
	at := c.scope.sources[hi-1].at
	for _, name := range cols {
		ai, ac, err := c.scope.resolve(name, lo, mid)
		if err != nil {
			return refuseIn(err, at)
		}
		bi, bc, err := c.scope.resolve(name, mid, hi)
		if err != nil {
			return refuseIn(err, at)
		}
		a := ref{ai, ac}
		if m, ok := c.scope.merged[name.Name.L]; ok {
			a = m
		}
		c.scope.merged[name.Name.L] = a
		cj := conjunct{lo: lo, hi: hi, fromOn: true, using: &columnPair{a, ref{bi, bc}, at}}
		if left {
			c.scope.sources[hi-1].on = append(c.scope.sources[hi-1].on, cj)
		} else {
			c.pool = append(c.pool, cj)
		}
	}
	return nil
}

func (c *compiler) addConjuncts(e ast.ExprNode, lo, hi int, fromOn bool) {
	if e == nil {
		return
	}
	for _, x := range splitAnd(e) {
		c.pool = append(c.pool, conjunct{expr: x, lo: lo, hi: hi, fromOn: fromOn})
	}
}

// splitAnd returns the conditions of an AND.
func splitAnd(e ast.ExprNode) []ast.ExprNode {
	e = unwrapParens(e)
	if b, ok := e.(*ast.BinaryOperationExpr); ok && b.Op == opcode.LogicAnd {
		return append(splitAnd(b.L), splitAnd(b.R)...)
	}
	return []ast.ExprNode{e}
}

// pairOf returns the equality "column = column of another input" that a condition is, if it is one.
// A COLLATE on either side is part of the comparison and comes with the nodes.
func (c *compiler) pairOf(cj conjunct) (p columnPair, eq *comparison, ok bool, err error) {
	if cj.using != nil {
		eq, err = c.usingNode(cj)
		return *cj.using, eq, true, err
	}
	b, isBinary := cj.expr.(*ast.BinaryOperationExpr)
	if !isBinary || b.Op != opcode.EQ || !isColumn(b.L) || !isColumn(b.R) {
		return p, nil, false, nil
	}
	n, err := c.builder(cj.lo, cj.hi).build(b)
	if err != nil {
		return p, nil, false, err
	}
	eq = n.(*comparison)
	l, r := columnOf(eq.l), columnOf(eq.r)
	if l.input == r.input {
		return p, nil, false, nil
	}
	return columnPair{ref{l.input, l.col}, ref{r.input, r.col}, b.OriginTextPosition()}, eq, true, nil
}

// usingNode builds an equality that USING made.
func (c *compiler) usingNode(cj conjunct) (*comparison, error) {
	a, b := cj.using.a, cj.using.b
	eq, err := newComparison("=", c.scope.columnNode(a.input, a.col), c.scope.columnNode(b.input, b.col))
	if err == nil {
		err = c.builder(cj.lo, cj.hi).needComparison("=", eq.l, eq.r, eq.by)
	}
	return eq, refuseIn(err, cj.using.at)
}

func isColumn(e ast.ExprNode) bool {
	e = unwrapParens(e)
	if s, ok := e.(*ast.SetCollationExpr); ok {
		e = unwrapParens(s.Expr)
	}
	_, ok := e.(*ast.ColumnNameExpr)
	return ok
}

func columnOf(n node) *column {
	if s, ok := n.(*collated); ok {
		n = s.arg
	}
	return n.(*column)
}
