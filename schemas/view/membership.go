package view

import (
	"errors"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// inList is x [NOT] IN (a, b, ...).
type inList struct {
	base
	arg  node
	list []*comparison
	not  bool
}

func newIn(arg node, list []node, negate bool) (node, error) {
	e := &inList{arg: arg, not: negate}
	texts := make([]string, len(list))
	null := arg.Nullable()
	for i, n := range list {
		if n.info().class == classNull {
			return nil, refuse("leave the NULL out", "IN with NULL in its list is never false")
		}
		if err := unmixed(arg, n); err != nil {
			return nil, err
		}
		c, err := newComparison("=", arg, n)
		if err != nil {
			return nil, err
		}
		if i > 0 && !c.by.like(e.list[0].by) {
			return nil, refuse("write it as OR of comparisons", "the members of IN compare in different ways")
		}
		e.list = append(e.list, c)
		texts[i] = n.String()
		null = null || n.Nullable()
	}
	word := " IN ("
	if negate {
		word = " NOT IN ("
	}
	e.base = boolBase("("+arg.String()+word+strings.Join(texts, ", ")+"))", null)
	return e, nil
}

// Eval is the OR of the equalities.
func (e *inList) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return change.Value{}, err
	}
	unknown := false
	for _, c := range e.list {
		m, err := c.r.Eval(t)
		if err != nil {
			return change.Value{}, err
		}
		if m.IsNull() {
			unknown = true
		} else if c.by.compare(v, m) == 0 {
			return truth(!e.not), nil
		}
	}
	if unknown {
		return change.Value{}, nil
	}
	return truth(e.not), nil
}

// between is x [NOT] BETWEEN a AND b.
type between struct {
	base
	low, high *comparison
	not       bool
}

func newBetween(arg, low, high node, negate bool) (node, error) {
	if err := errors.Join(unmixed(arg, low), unmixed(arg, high), unmixed(low, high)); err != nil {
		return nil, err
	}
	for _, bound := range []node{low, high} {
		if b := bound.info(); arg.info().class == classInt && b.class == classUint && b.typ.Name == "bigint" {
			return nil, refuse("write it with >= and <=", "MySQL 5.7 does not tell signed from unsigned in BETWEEN")
		}
	}
	lo, err := newComparison(">=", arg, low)
	if err != nil {
		return nil, err
	}
	hi, err := newComparison("<=", arg, high)
	if err != nil {
		return nil, err
	}
	if !lo.by.like(hi.by) {
		return nil, refuse("write it as two comparisons", "the bounds of BETWEEN compare in different ways")
	}
	word := " BETWEEN "
	if negate {
		word = " NOT BETWEEN "
	}
	text := "(" + arg.String() + word + low.String() + " AND " + high.String() + ")"
	return &between{boolBase(text, lo.null || hi.null), lo, hi, negate}, nil
}

// Eval is the AND of two comparisons.
func (e *between) Eval(t Tuple) (change.Value, error) {
	a, err := truthOf(e.low, t)
	if err != nil {
		return change.Value{}, err
	}
	if a == isFalse {
		return truth(e.not), nil
	}
	b, err := truthOf(e.high, t)
	switch {
	case err != nil:
		return change.Value{}, err
	case b == isFalse:
		return truth(e.not), nil
	case a == isUnknown || b == isUnknown:
		return change.Value{}, nil
	}
	return truth(!e.not), nil
}

// like is x [NOT] LIKE pattern [ESCAPE c].
type like struct {
	base
	arg, pattern node
	by           *collation
	escape       rune
	not          bool
}

func newLike(arg, pattern node, escape rune, negate bool) (*like, error) {
	a, p := arg.info(), pattern.info()
	if !(a.isText() || a.class == classBytes) || !(p.isText() || p.class == classBytes) {
		return nil, refuse("CAST it to CHAR", "LIKE needs strings, not %s and %s", describe(arg), describe(pattern))
	}
	if a.class == classBytes {
		return nil, refuse("compare text, or use =", "LIKE on a binary string is not supported")
	}
	t, err := compareText(a, p)
	if err != nil {
		return nil, err
	}
	by, err := t.comparable()
	if err != nil {
		return nil, err
	}
	word := " LIKE "
	if negate {
		word = " NOT LIKE "
	}
	text := "(" + arg.String() + word + pattern.String()
	if escape != '\\' {
		e := ""
		if escape >= 0 {
			e = string(escape)
		}
		text += " ESCAPE " + quote(e)
	}
	return &like{boolBase(text+")", arg.Nullable() || pattern.Nullable()), arg, pattern, by, escape, negate}, nil
}

// Eval matches character by character: trailing spaces count.
func (e *like) Eval(t Tuple) (change.Value, error) {
	a, p, ok, err := both(e.arg, e.pattern, t)
	if !ok {
		return change.Value{}, err
	}
	return truth(e.by.like(a.Text(), p.Text(), e.escape) != e.not), nil
}

// quote writes a string literal as SQL.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch r {
		case '\'':
			b.WriteString("''")
		case '\\':
			b.WriteString(`\\`)
		case 0:
			b.WriteString(`\0`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
