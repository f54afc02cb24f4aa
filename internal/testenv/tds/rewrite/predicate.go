package rewrite

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// predicate translates a predicate to a boolean of PostgreSQL.
func (b *binder) predicate(x tsql.Expr) (string, error) {
	switch x := x.(type) {
	case *tsql.Logic:
		l, err := b.predicate(x.L)
		if err != nil {
			return "", err
		}
		r, err := b.predicate(x.R)
		return fmt.Sprintf("(%s %s %s)", l, x.Op, r), err
	case *tsql.Not:
		p, err := b.predicate(x.X)
		return "(NOT " + p + ")", err
	case *tsql.Compare:
		return b.compare(x.Op, x.L, x.R)
	case *tsql.IsNull:
		e, err := b.value(x.X)
		if err != nil {
			return "", err
		}
		not := ""
		if x.Not {
			not = "NOT "
		}
		if e.typ.Kind == datatype.Null {
			e.sql = "NULL::int4"
		}
		return fmt.Sprintf("(%s IS %sNULL)", e.sql, not), nil
	case *tsql.In:
		return b.in(x)
	case *tsql.Between:
		low, err := b.compare(">=", x.X, x.Low)
		if err != nil {
			return "", err
		}
		high, err := b.compare("<=", x.X, x.High)
		return negate(x.Not, fmt.Sprintf("(%s AND %s)", low, high)), err
	case *tsql.Like:
		return b.like(x)
	case *tsql.Exists:
		q, err := b.inner(x.Query, queryUse{exists: true})
		return "EXISTS (" + q.sql + ")", err
	}
	return "", fail(4145, "An expression of non-boolean type specified in a context where a condition is expected.")
}

func negate(not bool, p string) string {
	if not {
		return "(NOT " + p + ")"
	}
	return p
}

func (b *binder) compare(op string, lx, rx tsql.Expr) (string, error) {
	l, err := b.value(lx)
	if err != nil {
		return "", err
	}
	r, err := b.value(rx)
	if err != nil {
		return "", err
	}
	return b.compareTyped(op, l, r)
}

// compareTyped compares in the stronger of both types.
func (b *binder) compareTyped(op string, l, r typed) (string, error) {
	if op == "=" || op == "<>" {
		// The bytes of two texts are equal when the texts are spelled the same.
		if l.hexOf != "" && r.hexOf != "" {
			return fmt.Sprintf(`((%s) COLLATE "C" %s (%s) COLLATE "C")`, l.hexOf, op, r.hexOf), nil
		}
	}
	l, r, err := b.meet(l, r)
	if err != nil {
		return "", err
	}
	switch {
	case l.typ.IsText():
		c, _, err := collate(l, r)
		if err != nil {
			return "", err
		}
		if op == "=" || op == "<>" {
			return fmt.Sprintf("(%s %s %s)", equalKey(l.sql, c), op, equalKey(r.sql, c)), nil
		}
		return fmt.Sprintf("(%s %s %s)", orderKey(l.sql, c), op, orderKey(r.sql, c)), nil
	case l.typ.IsBinary():
		// Like text, binary values are compared as if the shorter one were padded, with zeros.
		if op == "=" || op == "<>" {
			return fmt.Sprintf("(%s %s %s)", binaryKey(l.sql), op, binaryKey(r.sql)), nil
		}
	case l.typ.Kind == datatype.UniqueIdentifier && op != "=" && op != "<>":
		return "", refuse("the order of uniqueidentifiers")
	}
	return fmt.Sprintf("(%s %s %s)", l.sql, op, r.sql), nil
}

// meet converts two expressions to a common type.
func (b *binder) meet(l, r typed) (typed, typed, error) {
	t := stronger(l.typ, r.typ)
	if t.Kind == datatype.Null {
		t = datatype.Simple(datatype.Int)
	}
	if t.IsText() && l.typ.IsText() && r.typ.IsText() {
		return l, r, nil // text compares whatever its length
	}
	if t.IsBinary() && l.typ.IsBinary() && r.typ.IsBinary() {
		return l, r, nil
	}
	if t.IsNumber() && t.Kind <= datatype.Decimal && l.typ.IsNumber() && r.typ.IsNumber() {
		// PostgreSQL compares numbers exactly, whatever their types; a cast would keep it from using an index.
		return l, r, nil
	}
	l2, err := b.convert(l, t, casting)
	if err != nil {
		return l, r, err
	}
	r2, err := b.convert(r, t, casting)
	return l2, r2, err
}

// equalKey is what two texts that SQL Server takes for equal have in common. Trailing spaces never count.
func equalKey(x string, c datatype.Collation) string {
	if c.Binary() {
		return fmt.Sprintf(`rtrim(%s, ' ') COLLATE "C"`, x)
	}
	return fmt.Sprintf(`lower(rtrim(%s, ' ') COLLATE "und-x-icu") COLLATE "C"`, x)
}

// orderKey sorts text. The space at the end makes a character below it sort before the end, as padding does.
func orderKey(x string, c datatype.Collation) string {
	if c.Binary() {
		return fmt.Sprintf(`(rtrim(%s, ' ') || ' ') COLLATE "C"`, x)
	}
	return fmt.Sprintf(`lower(rtrim(%s, ' ') COLLATE "und-x-icu") COLLATE "und-x-icu"`, x)
}

func binaryKey(x string) string { return fmt.Sprintf(`rtrim(%s, '\x00'::bytea)`, x) }

// groupKey is what rows of one group, or one distinct row, have in common.
func groupKey(e typed) string {
	switch {
	case e.typ.IsText():
		return equalKey(e.sql, e.typ.Collation)
	case e.typ.IsBinary():
		return binaryKey(e.sql)
	}
	return e.sql
}

func (b *binder) in(x *tsql.In) (string, error) {
	if x.Query == nil {
		var parts []string
		for _, item := range x.List {
			p, err := b.compare("=", x.X, item)
			if err != nil {
				return "", err
			}
			parts = append(parts, p)
		}
		return negate(x.Not, "("+strings.Join(parts, " OR ")+")"), nil
	}
	e, err := b.value(x.X)
	if err != nil {
		return "", err
	}
	q, err := b.inner(x.Query, queryUse{})
	if err != nil {
		return "", err
	}
	if len(q.columns) != 1 {
		return "", fail(116, "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.")
	}
	alias := b.fresh()
	item := typed{sql: Ident(alias) + ".c", typ: q.columns[0].Type, nullable: true, strength: implicit}
	l, r, err := b.meet(e, item)
	if err != nil {
		return "", err
	}
	if l.typ.IsText() {
		c, _, err := collate(l, r)
		if err != nil {
			return "", err
		}
		l.sql, r.sql = equalKey(l.sql, c), equalKey(r.sql, c)
	}
	return negate(x.Not, fmt.Sprintf("(%s IN (SELECT %s FROM (%s) AS %s(c)))", l.sql, r.sql, q.sql, Ident(alias))), nil
}
