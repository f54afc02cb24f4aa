package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// part is a condition on t that selects a key range, with its parameters.
type part struct {
	sql  string
	args []any
}

// rangePart turns a range of Key bytes into a condition on the key columns: column by column, NULL first,
// text by its bytes. Over NOT NULL columns it is one row comparison, which the key's index serves.
func (tg *target) rangePart(r change.KeyRange) (part, error) {
	p := part{sql: "true"}
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

// beyond is true of keys at or above the bound (above), or below it.
func (tg *target) beyond(p *part, b sinks.Bound, above bool) string {
	b = cutAtNUL(b)
	if len(b.Values) == 0 { // every key begins with nothing
		return strconv.FormatBool(above != b.After)
	}
	names, params := make([]string, len(b.Values)), make([]string, len(b.Values))
	plain := true
	for i, v := range b.Values {
		c := tg.columns[tg.key[i]]
		names[i] = c.comparable("t." + ident(c.name))
		if plain = plain && !c.nullable && !v.IsNull(); v.IsNull() {
			continue
		}
		p.args = append(p.args, parameter(c, v))
		params[i] = fmt.Sprintf("$%d::%s", len(p.args), wire[c.form])
	}
	// At or above a bound that lies before its keys is >=, behind them >; below is < and <=.
	op, orEqual := "<", b.After
	if above {
		op, orEqual = ">", !b.After
	}
	if plain {
		if orEqual {
			op += "="
		}
		return fmt.Sprintf("(%s) %s (%s)", strings.Join(names, ", "), op, strings.Join(params, ", "))
	}
	cond := strconv.FormatBool(orEqual) // all of the bound's columns are equal
	for i := len(names) - 1; i >= 0; i-- {
		null := b.Values[i].IsNull()
		strict, equal := names[i]+" "+op+" "+params[i], names[i]+" = "+params[i]
		switch {
		case null && above:
			strict, equal = names[i]+" IS NOT NULL", names[i]+" IS NULL"
		case null:
			strict, equal = "false", names[i]+" IS NULL"
		case !above:
			strict += " OR " + names[i] + " IS NULL"
		}
		cond = fmt.Sprintf("%s OR (%s AND (%s))", strict, equal, cond)
	}
	// What the first column says alone, the index can serve.
	if first := tg.columns[tg.key[0]]; !b.Values[0].IsNull() && (above || !first.nullable) {
		cond = fmt.Sprintf("%s %s= %s AND (%s)", names[0], op, params[0], cond)
	}
	return cond
}

// cutAtNUL makes a bound that PostgreSQL can hold of one with a NUL byte in its text. No text here has one,
// so keys beyond "ab\0c" are those beyond "ab" and all that continues it.
func cutAtNUL(b sinks.Bound) sinks.Bound {
	for i, v := range b.Values {
		if v.Kind() != change.String {
			continue
		}
		if head, _, ok := strings.Cut(v.Text(), "\x00"); ok {
			values := append(b.Values[:i:i], change.StringValue(head))
			return sinks.Bound{Values: values, After: true}
		}
	}
	return b
}

// parameter is a value as the driver takes it for a cast parameter: binary strings as bytes, all else as
// text.
func parameter(c column, v change.Value) any {
	switch c.form {
	case formBytea:
		return []byte(v.Text())
	case formDate:
		return dateText(time.Unix(v.Int()*86400, 0).UTC(), "2006-01-02")
	case formTimestamp:
		return dateText(time.UnixMicro(v.Int()).UTC(), "2006-01-02 15:04:05.000000")
	case formTimestamptz:
		return dateText(time.UnixMicro(v.Int()).UTC(), "2006-01-02 15:04:05.000000+00")
	case formInterval:
		return strconv.FormatInt(v.Int(), 10) + " microseconds"
	case formBits:
		return fmt.Sprintf("%0*b", c.typ.Length, v.Uint())
	case formText, formJSON:
		return v.Text()
	}
	return v.String()
}

// dateText writes a year before 1 the way PostgreSQL reads it.
func dateText(t time.Time, layout string) string {
	if t.Year() >= 1 {
		return t.Format(layout)
	}
	return t.AddDate(1-2*t.Year(), 0, 0).Format(layout) + " BC"
}
