package postgres

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// exactly returns what refuses a value that PostgreSQL would round or cut without a word when it stores it in the
// column; nil where it stores every value as it is, or says that it cannot. Only columns that somebody else made
// (schema_changes: off) are of types that do so.
func (c *column) exactly() func(change.Value) error {
	if c.actual == c.ddl || fitOf(c.typ, c.actual) == fits {
		return nil
	}
	base, args := splitType(c.actual)
	limit := func(otherwise int) int {
		if len(args) > 0 {
			return args[len(args)-1]
		}
		return otherwise
	}
	var keeps func(change.Value) bool
	why := ""
	switch base {
	case "smallint", "integer", "bigint":
		keeps = func(v change.Value) bool { return keepsDigits(v, 0) }
	case "numeric":
		const unlimited = 1000
		scale := unlimited
		if len(args) > 0 {
			scale = 0
		}
		if len(args) > 1 {
			scale = args[1]
		}
		keeps = func(v change.Value) bool { return keepsDigits(v, scale) }
	case "real":
		keeps = func(v change.Value) bool { return keepsFloat(v, 32) }
	case "double precision":
		keeps = func(v change.Value) bool { return keepsFloat(v, 64) }
	case "character varying", "character":
		length := limit(1)
		why = ": it is too long, or ends in spaces"
		keeps = func(v change.Value) bool {
			return utf8.RuneCountInString(v.Text()) <= length && (base != "character" || v.Text() == "" || v.Text()[len(v.Text())-1] != ' ')
		}
	case "date":
		keeps = func(v change.Value) bool { return v.Kind() == change.Date || v.Int()%dayMicros == 0 }
	case "timestamp without time zone", "timestamp with time zone", "interval":
		step := microsOf(limit(6))
		keeps = func(v change.Value) bool { return v.Int()%step == 0 }
	case "time without time zone":
		step := microsOf(limit(6))
		keeps = func(v change.Value) bool { return v.Int() >= 0 && v.Int() < dayMicros && v.Int()%step == 0 }
	default:
		return nil
	}
	return func(v change.Value) error {
		if v.IsNull() || v.IsAbsent() || v.Kind() != c.typ.Kind || keeps(v) {
			return nil
		}
		return refuse("a column of type %s would not keep %s as it is%s", c.actual, c.typ.Name, why)
	}
}

// append appends a value as a field of a binary COPY row. After an error b is as it was.
func (c *column) append(b []byte, v change.Value) ([]byte, error) {
	out, err := appendField(b, c.form, c.typ, v)
	if err == nil && c.exact != nil {
		err = c.exact(v)
	}
	if err != nil {
		return b, err
	}
	return out, nil
}

const dayMicros = 86400 * 1_000_000

// microsOf is the step of a temporal with so many digits behind the seconds.
func microsOf(digits int) int64 {
	step := int64(1)
	for range 6 - digits {
		step *= 10
	}
	return step
}

// keepsDigits reports whether a number has at most so many digits behind the point.
func keepsDigits(v change.Value, scale int) bool {
	switch v.Kind() {
	case change.Decimal:
		_, ok := change.NormalDecimal(v.Text(), scale)
		return ok
	case change.Float, change.Double:
		const safe = 15 // digits of a double that the server's cast keeps
		text := strconv.FormatFloat(v.Double(), 'g', safe, 64)
		if back, err := strconv.ParseFloat(text, 64); err != nil || back != v.Double() {
			return false
		}
		_, ok := change.NormalDecimal(strconv.FormatFloat(v.Double(), 'f', -1, 64), scale)
		return ok
	}
	return true // a whole number, which the server takes or refuses
}

// keepsFloat reports whether a number is the same after it was a float of so many bits, and is printed without an exponent
// then.
func keepsFloat(v change.Value, bits int) bool {
	if k := v.Kind(); k == change.Float || k == change.Double {
		return bits == 64 || float64(float32(v.Double())) == v.Double()
	}
	text := v.String()
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return false
	}
	_, fraction, _ := strings.Cut(text, ".")
	back, ok := change.NormalDecimal(strconv.FormatFloat(f, 'f', -1, bits), len(fraction))
	most := map[int]float64{32: 1e6, 64: 1e15}[bits]
	return ok && back == text && (f == 0 || math.Abs(f) >= 1e-4 && math.Abs(f) < most)
}
