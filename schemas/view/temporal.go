package view

import (
	"strconv"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// temporalLiteral turns a text literal beside a temporal operand into a temporal literal.
func temporalLiteral(n node, beside *base) (node, error) {
	i := n.info()
	if !beside.isTemporal() || !i.isLit || i.class != classString {
		return n, nil
	}
	if beside.class == classTime {
		return n, refuse("compare two TIME columns", "a TIME beside a text literal is not supported")
	}
	return parseTemporal(i.lit.Text(), i.text)
}

// parseTemporal reads 'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss[.ffffff]': the forms that every server reads
// alike.
func parseTemporal(s, text string) (node, error) {
	if len(s) == 10 {
		if d, err := time.Parse("2006-01-02", s); err == nil && d.Year() > 0 {
			return newLiteral(change.DateValue(d.Unix()/86400), change.Type{Kind: change.Date, Name: "date"}, text), nil
		}
	}
	if len(s) >= 19 && len(s) <= 26 && len(s) != 20 && s[10] == ' ' {
		if d, err := time.Parse("2006-01-02 15:04:05.999999", s); err == nil && d.Year() > 0 {
			scale := max(0, len(s)-20)
			return newLiteral(change.DatetimeValue(d.UnixMicro()),
				change.Type{Kind: change.Datetime, Name: "datetime", Scale: scale}, text), nil
		}
	}
	return nil, refuse("write 'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss[.ffffff]'", "%s beside a DATE or DATETIME is not one", quote(s))
}

// appendTemporal appends a temporal value in the servers' text form with scale fractional digits.
func appendTemporal(b []byte, v change.Value, scale int) []byte {
	switch v.Kind() {
	case change.Date:
		return appendDate(b, v.Int())
	case change.Time:
		us := v.Int()
		if us < 0 {
			b, us = append(b, '-'), -us
		}
		return appendClock(b, us, scale)
	case change.Year:
		return appendPadded(b, v.Int(), 4)
	}
	day, rest := floorDiv(v.Int(), microsPerDay)
	return appendClock(append(appendDate(b, day), ' '), rest, scale)
}

func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}

func appendDate(b []byte, days int64) []byte {
	y, m, d := time.Unix(days*86400, 0).UTC().Date()
	b = append(appendPadded(b, int64(y), 4), '-')
	b = append(appendPadded(b, int64(m), 2), '-')
	return appendPadded(b, int64(d), 2)
}

func appendClock(b []byte, us int64, scale int) []byte {
	b = append(appendPadded(b, us/3600e6, 2), ':')
	b = append(appendPadded(b, us/60e6%60, 2), ':')
	b = appendPadded(b, us/1e6%60, 2)
	if scale > 0 {
		b = append(b, '.')
		start := len(b)
		b = appendPadded(b, us%1e6, 6)
		b = b[:start+scale]
	}
	return b
}

func appendPadded(b []byte, n int64, width int) []byte {
	for limit, w := int64(10), 1; w < width; w, limit = w+1, limit*10 {
		if n < limit {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, n, 10)
}

// datePart is DATE(x), YEAR(x) or MONTH(x).
type datePart struct {
	base
	part string
	arg  node
}

func newDatePart(part string, arg node) (node, error) {
	i := arg.info()
	if i.class != classDate && i.class != classDatetime {
		return nil, refuse("store moments in a DATE, DATETIME or TIMESTAMP column",
			"%s of %s: an implicit conversion to a date is not supported", part, describe(arg))
	}
	text := part + "(" + arg.String() + ")"
	if part == "DATE" {
		return &datePart{base{typ: change.Type{Kind: change.Date, Name: "date"}, null: arg.Nullable(), text: text,
			class: classDate, der: derNumeric, ascii: true}, part, arg}, nil
	}
	out := boolBase(text, arg.Nullable())
	out.typ, out.digits = change.Type{Kind: change.Int, Name: "int"}, 5
	out.unsure = part == "YEAR"
	return &datePart{out, part, arg}, nil
}

// Eval takes the part of the wall clock.
func (e *datePart) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return change.Value{}, err
	}
	day := v.Int()
	if v.Kind() != change.Date {
		day, _ = floorDiv(v.Int(), microsPerDay)
	}
	if e.part == "DATE" {
		return change.DateValue(day), nil
	}
	y, m, _ := time.Unix(day*86400, 0).UTC().Date()
	if e.part == "YEAR" {
		return change.IntValue(int64(y)), nil
	}
	return change.IntValue(int64(m)), nil
}
