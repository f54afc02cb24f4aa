package sqlserver

import (
	"database/sql"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// part is a condition on t that selects a key range, with its parameters.
type part struct {
	sql  string
	args []any
	// exact is false if the condition may also hold for keys outside the range, because the server orders them in
	// another way than Key bytes do. It holds for all that are inside.
	exact bool
}

// Constants in conditions.
const (
	always = "1 = 1"
	never  = "1 = 0"
)

func constant(b bool) string {
	if b {
		return always
	}
	return never
}

// rangePart turns a range of Key bytes into a condition on the key columns: column by column, NULL first.
func (tg *target) rangePart(r change.KeyRange) (part, error) {
	p := part{sql: always, exact: true}
	if r.HasLo {
		b, err := sinks.DecodeBound(r.Lo, tg.table.KeyTypes())
		if err != nil {
			return p, fmt.Errorf("lower bound of a range of %s: %w", tg.table.ID, err)
		}
		p.sql = "(" + tg.beyond(&p, b, true) + ")"
	}
	if r.HasHi {
		b, err := sinks.DecodeBound(r.Hi, tg.table.KeyTypes())
		if err != nil {
			return p, fmt.Errorf("upper bound of a range of %s: %w", tg.table.ID, err)
		}
		p.sql += " AND (" + tg.beyond(&p, b, false) + ")"
	}
	return p, nil
}

// beyond is true of keys at or above the bound (above), or below it. From the first column on whose order is not that
// of Key bytes, it is a little too wide.
func (tg *target) beyond(p *part, b sinks.Bound, above bool) string {
	if len(b.Values) == 0 { // every key begins with nothing
		return constant(above != b.After)
	}
	orEqual := b.After
	if above {
		orEqual = !b.After
	}
	cond := constant(orEqual) // all of the bound's columns are equal
	n := len(b.Values)
	for i, v := range b.Values {
		c := &tg.columns[tg.key[i]]
		if !v.IsNull() && (c.form == formText || c.form == formBinary) {
			cond, n, p.exact = c.near(p, v, above), i, false
			break
		}
	}
	op := "<"
	if above {
		op = ">"
	}
	for i := n - 1; i >= 0; i-- {
		c, v := &tg.columns[tg.key[i]], b.Values[i]
		name := "t." + ident(c.dest)
		var strict, equal string
		switch {
		case v.IsNull() && above:
			strict, equal = name+" IS NOT NULL", name+" IS NULL"
		case v.IsNull():
			strict, equal = never, name+" IS NULL"
		default:
			value := p.place(c, c.parameter(v))
			strict, equal = name+" "+op+" "+value, name+" = "+value
			if !above && c.nullable {
				strict += " OR " + name + " IS NULL"
			}
		}
		cond = fmt.Sprintf("%s OR (%s AND (%s))", strict, equal, cond)
		if i == 0 && !v.IsNull() && (above || !c.nullable) { // what the first column says alone, the index can serve
			cond = fmt.Sprintf("%s %s= %s AND (%s)", name, op, p.place(c, c.parameter(v)), cond)
		}
	}
	return cond
}

// place adds a parameter and returns how the text speaks of it.
func (p *part) place(c *column, value any) string {
	name := fmt.Sprintf("range_%d", len(p.args))
	p.args = append(p.args, sql.Named(name, value))
	return fmt.Sprintf("CAST(@%s AS %s)", name, c.actual)
}

// near is a condition that all keys at or above (below) a text or binary string meet, and few others.
func (c *column) near(p *part, v change.Value, above bool) string {
	name := "t." + ident(c.dest)
	null := ""
	if !above && c.nullable {
		null = " OR " + name + " IS NULL"
	}
	switch {
	case c.form == formText && !isBinaryCollation(c.collation):
		return always // an order of words, which has nothing to do with that of bytes
	case c.form == formBinary && above: // with zeros behind the shorter one, the order is that of bytes but for ties
		return name + " >= " + p.place(c, []byte(v.Text()))
	case c.form == formBinary:
		return name + " <= " + p.place(c, []byte(v.Text())) + null
	}
	limit, op := highText(v.Text()), " < "
	if above {
		limit, op = lowText(v.Text()), " >= "
	}
	if limit == "" {
		return always
	}
	return name + op + p.place(c, limit) + null
}

// The order of a binary collation is that of UTF-16 units, or of code points, which differ only beyond this one.
const firstSurrogate = 0xd800

// plain returns the leading characters of a text that every order has in the same place, above a space.
func plain(s string) []rune {
	runes := []rune(s)
	n := 0
	for n < len(runes) && runes[n] >= ' ' && runes[n] < firstSurrogate {
		n++
	}
	return runes[:n:n]
}

// lowText is a text that the server orders before every text at or above s. The server puts spaces behind the shorter
// of two texts; so the last character, which is at least a space, is left out. "" stands for no bound.
func lowText(s string) string {
	runes := plain(s)
	return string(runes[:max(0, len(runes)-1)])
}

// highText is a text that the server orders behind every text below s: that with which no such text begins, and the
// next one of its length. "" stands for no bound.
func highText(s string) string {
	runes := plain(s)
	for n := len(runes); n > 0; n-- {
		if next := runes[n-1] + 1; next < firstSurrogate {
			return string(append(runes[:n-1:n-1], next))
		}
	}
	return ""
}
