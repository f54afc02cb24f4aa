package clickhouse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// kind is how a column's values are written in a native block.
type kind uint8

const (
	kindInt kind = iota
	kindUint
	kindFloat
	kindDecimal
	kindString
	kindDate       // Date32: days, 1900 to 2299
	kindDateTime64 // microseconds, 1900 to 2299
	kindBool
)

// form is a column type of the destination.
type form struct {
	kind kind
	// bits of an integer or a float.
	bits int
	// precision and scale of a decimal.
	precision, scale int
}

// The last decimal digits that a width holds.
const (
	digits32, digits64, digits128, digits256 = 9, 18, 38, 76
)

// ddl is the type's name.
func (f form) ddl() string {
	switch f.kind {
	case kindInt:
		return fmt.Sprintf("Int%d", f.bits)
	case kindUint:
		return fmt.Sprintf("UInt%d", f.bits)
	case kindFloat:
		return fmt.Sprintf("Float%d", f.bits)
	case kindDecimal:
		return fmt.Sprintf("Decimal(%d, %d)", f.precision, f.scale)
	case kindDate:
		return "Date32"
	case kindDateTime64:
		return "DateTime64(6, 'UTC')"
	case kindBool:
		return "Bool"
	case kindString:
	}
	return "String"
}

// formOf maps a type of the source to the type of a column that is created for it. DATETIME is a wall clock:
// it is kept as if it were UTC, and shown so. TIME is a duration of up to 838 hours, as microseconds. Text,
// binary strings, ENUM, SET and JSON are String, which holds any bytes.
func formOf(t change.Type) form {
	//exhaustive:enforce
	switch t.Kind {
	case change.Int:
		return form{kind: kindInt, bits: intBits(t.Name)}
	case change.Uint:
		return form{kind: kindUint, bits: intBits(t.Name)}
	case change.Year:
		return form{kind: kindUint, bits: 16}
	case change.Float:
		return form{kind: kindFloat, bits: 32}
	case change.Double:
		return form{kind: kindFloat, bits: 64}
	case change.Decimal:
		if t.Precision > 0 {
			return form{kind: kindDecimal, precision: t.Precision, scale: t.Scale}
		}
		return form{kind: kindDecimal, precision: digits256, scale: t.Scale}
	case change.Date:
		return form{kind: kindDate}
	case change.Time:
		return form{kind: kindInt, bits: 64}
	case change.Datetime, change.Timestamp:
		return form{kind: kindDateTime64, scale: 6}
	case change.String, change.Bytes, change.JSON, change.Null, change.Absent: // any bytes, below
	}
	return form{kind: kindString}
}

func intBits(name string) int {
	switch name {
	case "tinyint":
		return 8
	case "smallint":
		return 16
	case "mediumint", "int", "integer":
		return 32
	}
	return 64
}

var (
	wrapped   = regexp.MustCompile(`^Nullable\((.*)\)$`)
	intName   = regexp.MustCompile(`^(U?)Int(8|16|32|64)$`)
	decName   = regexp.MustCompile(`^Decimal\((\d+), ?(\d+)\)$`)
	stampName = regexp.MustCompile(`^DateTime64\(6(, ?'(UTC|Etc/UTC)')?\)$`)
)

// parseForm reads a type as system.columns prints it; ok is false of types that nothing is delivered to.
func parseForm(text string) (f form, nullable, ok bool) {
	if m := wrapped.FindStringSubmatch(text); m != nil {
		text, nullable = m[1], true
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil { // the expression matched digits
			return 0
		}
		return n
	}
	switch {
	case text == "String":
		return form{kind: kindString}, nullable, true
	case text == "Date32":
		return form{kind: kindDate}, nullable, true
	case text == "Bool":
		return form{kind: kindBool}, nullable, true
	case text == "Float32", text == "Float64":
		return form{kind: kindFloat, bits: number(text[len("Float"):])}, nullable, true
	case stampName.MatchString(text):
		return form{kind: kindDateTime64, scale: 6}, nullable, true
	}
	if m := intName.FindStringSubmatch(text); m != nil {
		f = form{kind: kindInt, bits: number(m[2])}
		if m[1] != "" {
			f.kind = kindUint
		}
		return f, nullable, true
	}
	if m := decName.FindStringSubmatch(text); m != nil {
		return form{kind: kindDecimal, precision: number(m[1]), scale: number(m[2])}, nullable, true
	}
	return f, nullable, false
}

// fit says whether a column that exists can hold every value of a type.
type fit uint8

const (
	fits    fit = iota
	widens      // after a MODIFY COLUMN that loses nothing
	refuses     // values would be cut, rounded or not taken at all
)

// fitOf compares the form that a type asks for with that of an existing column.
func fitOf(want, have form) fit {
	switch want.kind {
	case kindInt, kindFloat:
		if have.kind != want.kind {
			return refuses
		}
		return narrow(have.bits < want.bits)
	case kindUint:
		if have.kind == kindInt && have.bits > want.bits {
			return fits
		}
		if have.kind != kindUint {
			return refuses
		}
		return narrow(have.bits < want.bits)
	case kindDecimal:
		switch {
		case have.kind != kindDecimal:
			return refuses
		case have.scale >= want.scale && have.precision-have.scale >= want.precision-want.scale:
			return fits
		case have.scale <= want.scale && have.precision-have.scale <= want.precision-want.scale:
			return widens
		}
		return refuses
	case kindString, kindDate, kindDateTime64, kindBool:
	}
	if have.kind != want.kind && !asText(want, have) {
		return refuses
	}
	return fits
}

func narrow(yes bool) fit {
	if yes {
		return widens
	}
	return fits
}

// quoteName writes an identifier, with its database before it if there are two parts.
func quoteName(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(p) + "`"
	}
	return strings.Join(quoted, ".")
}

// literal writes text, of any bytes, as a string literal.
func literal(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// list joins quoted names.
func list(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = quoteName(n)
	}
	return strings.Join(q, ", ")
}
