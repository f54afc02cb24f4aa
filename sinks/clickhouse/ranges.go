package clickhouse

import (
	"fmt"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// beyond is a condition that is true of keys at or above the bound (above), or below it: column by column,
// NULL first, text by its bytes. What the first column says alone stands before the rest, for the index.
func (tg *target) beyond(b sinks.Bound, above bool) string {
	b = tg.within(b)
	if len(b.Values) == 0 { // every key begins with nothing
		return strconv.FormatBool(above != b.After)
	}
	op, orEqual := "<", b.After
	if above {
		op, orEqual = ">", !b.After
	}
	cond := strconv.FormatBool(orEqual) // all of the bound's columns are equal
	for i := len(b.Values) - 1; i >= 0; i-- {
		c := &tg.columns[tg.key[i]]
		name, null := quoteName(c.name), b.Values[i].IsNull()
		value := constant(c, b.Values[i])
		strict, equal := name+" "+op+" "+value, name+" = "+value
		switch {
		case null && above:
			strict, equal = name+" IS NOT NULL", name+" IS NULL"
		case null:
			strict, equal = "false", name+" IS NULL"
		case !above && c.nullable:
			strict += " OR " + name + " IS NULL"
		}
		cond = fmt.Sprintf("%s OR (%s AND (%s))", strict, equal, cond)
	}
	if first := &tg.columns[tg.key[0]]; !b.Values[0].IsNull() && (above || !first.nullable) {
		cond = fmt.Sprintf("%s %s= %s AND (%s)", quoteName(first.name), op, constant(first, b.Values[0]), cond)
	}
	return cond
}

// within moves a bound with a moment that the destination's types cannot hold to the nearest that they can:
// no key lies between the two.
func (tg *target) within(b sinks.Bound) sinks.Bound {
	for i, v := range b.Values {
		c := &tg.columns[tg.key[i]]
		lo, hi := int64(0), int64(0)
		switch {
		case v.IsNull():
			continue
		case c.form.kind == kindDate:
			lo, hi = firstDay, lastDay
		case c.form.kind == kindDateTime64:
			lo, hi = firstMicros, lastMicros
		default:
			continue
		}
		if n := v.Int(); n < lo || n > hi {
			values := append(change.Row(nil), b.Values[:i]...)
			return sinks.Bound{Values: append(values, moment(v.Kind(), min(max(n, lo), hi))), After: n > hi}
		}
	}
	return b
}

func moment(k change.Kind, n int64) change.Value {
	switch k {
	case change.Date:
		return change.DateValue(n)
	case change.Timestamp:
		return change.TimestampValue(n)
	}
	return change.DatetimeValue(n)
}

// constant writes a value as an expression of its column's type.
func constant(c *column, v change.Value) string {
	switch c.form.kind {
	case kindString:
		return literal(v.Text())
	case kindDate:
		return fmt.Sprintf("addDays(toDate32('1970-01-01'), %d)", v.Int())
	case kindDateTime64:
		return fmt.Sprintf("fromUnixTimestamp64Micro(%d, 'UTC')", v.Int())
	case kindDecimal:
		return fmt.Sprintf("CAST(%s AS %s)", literal(v.Text()), c.form.ddl())
	case kindFloat:
		return fmt.Sprintf("toFloat%d(%s)", c.form.bits, literal(strconv.FormatFloat(v.Double(), 'g', -1, c.form.bits)))
	case kindUint:
		if v.Kind() == change.Uint {
			return strconv.FormatUint(v.Uint(), 10)
		}
	case kindInt, kindBool:
	}
	return strconv.FormatInt(v.Int(), 10)
}
