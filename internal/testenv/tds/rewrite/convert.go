package rewrite

import (
	"fmt"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// typed is an expression of PostgreSQL with its type in T-SQL.
type typed struct {
	sql      string
	typ      datatype.Type
	nullable bool
	// strength says where the collation comes from, which decides between two.
	strength strength
	// name is the column's name, for results.
	name string
	// hexOf is the text whose bytes the expression is, so that two of them compare without being built.
	hexOf string
}

// strength orders the origins of a collation.
type strength uint8

const (
	coercible strength = iota // a literal, a variable
	implicit                  // a column
	explicit                  // COLLATE
)

// mode says who asks for a conversion.
type mode uint8

const (
	assigning mode = iota // an assignment: what does not fit is an error
	casting               // CAST: text is cut
)

// convert makes an expression's value one of type to.
func (b *binder) convert(e typed, to datatype.Type, m mode) (typed, error) {
	out := e
	out.typ, out.hexOf = to, ""
	if to.IsText() && e.typ.IsText() {
		if m == casting {
			out.typ.Collation = e.typ.Collation
		}
	} else {
		out.strength = coercible
	}
	var err error
	switch {
	case e.typ.Kind == datatype.Null:
		out.sql = "NULL::" + to.Postgres()
	case to.Kind == datatype.Null:
		return e, nil
	case to.IsInteger():
		out.sql, err = toInteger(e, to)
	case to.Kind == datatype.Decimal:
		out.sql, err = toDecimal(e, to)
	case to.Kind == datatype.Real || to.Kind == datatype.Float:
		out.sql, err = toFloat(e, to)
	case to.IsText():
		out.sql, err = toText(e, out.typ, m)
	case to.IsBinary():
		out, err = toBinary(e, to, m)
	case to.IsTemporal():
		out.sql, err = toTemporal(e, to)
	case to.Kind == datatype.UniqueIdentifier:
		out.sql, err = toGUID(e)
	default:
		err = impossible(e.typ, to)
	}
	return out, err
}

func impossible(from, to datatype.Type) error {
	return refuse("the conversion of %s to %s", from, to)
}

// toInteger drops fractions, as SQL Server does.
func toInteger(e typed, to datatype.Type) (string, error) {
	x := e.sql
	switch {
	case e.typ.Kind == to.Kind:
		return x, nil
	case e.typ.IsInteger():
	case e.typ.Kind == datatype.Decimal || e.typ.Kind == datatype.Real || e.typ.Kind == datatype.Float:
		if to.Kind != datatype.Bit {
			x = "trunc(" + x + ")"
		}
	case e.typ.IsText():
		x = fmt.Sprintf("tds.to_integer(%s, '%s')", x, to)
	case e.typ.IsBinary():
		x = fmt.Sprintf("tds.bytes_to_integer(%s)", x)
	default:
		return "", impossible(e.typ, to)
	}
	switch to.Kind {
	case datatype.Bit:
		return fmt.Sprintf("(%s <> 0)::int4::int2", x), nil
	case datatype.TinyInt:
		return fmt.Sprintf("tds.to_tinyint((%s)::int8)", x), nil
	case datatype.SmallInt:
		return fmt.Sprintf("tds.to_smallint((%s)::int8)", x), nil
	}
	return fmt.Sprintf("(%s)::%s", x, to.Postgres()), nil
}

func toDecimal(e typed, to datatype.Type) (string, error) {
	switch {
	case e.typ == to:
		return e.sql, nil
	case e.typ.IsNumber():
		return fmt.Sprintf("(%s)::%s", e.sql, to.Postgres()), nil
	case e.typ.IsText():
		return fmt.Sprintf("tds.to_numeric(%s)::%s", e.sql, to.Postgres()), nil
	}
	return "", impossible(e.typ, to)
}

func toFloat(e typed, to datatype.Type) (string, error) {
	switch {
	case e.typ.Kind == to.Kind:
		return e.sql, nil
	case e.typ.IsNumber():
		return fmt.Sprintf("(%s)::%s", e.sql, to.Postgres()), nil
	case e.typ.IsText():
		return fmt.Sprintf("tds.to_float(%s)::%s", e.sql, to.Postgres()), nil
	}
	return "", impossible(e.typ, to)
}

// toText converts to text without a style.
func toText(e typed, to datatype.Type, m mode) (string, error) {
	x := e.sql
	switch {
	case e.typ.IsText():
		return textToText(x, e.typ, to, m), nil
	case e.typ.IsInteger() || e.typ.Kind == datatype.Decimal:
		if to.Length == datatype.Max {
			return fmt.Sprintf("(%s)::text", x), nil
		}
		return fmt.Sprintf("tds.number_to_text((%s)::text, %d)", x, to.Length), nil
	case e.typ.IsTemporal():
		return textToText(temporalText(e, "121"), datatype.NVar(34), to, m), nil
	case e.typ.Kind == datatype.UniqueIdentifier:
		return textToText(fmt.Sprintf("upper((%s)::text)", x), datatype.NVar(36), to, m), nil
	case e.typ.IsBinary() && m == casting:
		if to.IsUnicode() {
			return textToText(fmt.Sprintf("tds.from_utf16(%s)", x), datatype.NVar(datatype.Max), to, m), nil
		}
		return textToText(fmt.Sprintf("tds.from_ascii(%s)", x), datatype.NVar(datatype.Max), to, m), nil
	}
	return "", impossible(e.typ, to)
}

// textToText checks or cuts text for a type.
func textToText(x string, from, to datatype.Type, m mode) string {
	if !to.IsUnicode() && !to.Collation.UTF8() && (from.IsUnicode() || from.Collation.UTF8()) {
		x = fmt.Sprintf("tds.ascii(%s)", x)
	}
	longer := from.Length == datatype.Max || to.Length != datatype.Max && from.Length > to.Length ||
		from.IsUnicode() && !to.IsUnicode() && from.Length*3 > to.Length
	if to.Length != datatype.Max && longer {
		unit := "units"
		if !to.IsUnicode() {
			unit = "bytes"
		}
		if m == casting {
			x = fmt.Sprintf("tds.cut_%s(%s, %d)", unit, x, to.Length)
		} else {
			x = fmt.Sprintf("tds.fit_%s(%s, %d)", unit, x, to.Length)
		}
	}
	if to.Kind == datatype.NChar || to.Kind == datatype.Char {
		x = fmt.Sprintf("tds.pad(%s, %d)", x, to.Length)
	}
	return x
}

func toBinary(e typed, to datatype.Type, m mode) (typed, error) {
	out := e
	out.typ, out.strength, out.hexOf = to, coercible, ""
	x := e.sql
	from := e.typ.Length
	switch {
	case e.typ.IsBinary():
	case m == assigning:
		return out, fail(257, "Implicit conversion from data type %s to %s is not allowed. Use the CONVERT function to run this query.", e.typ.Kind, to.Kind)
	case e.typ.IsUnicode():
		if to.Kind == datatype.VarBinary && (to.Length == datatype.Max || from != datatype.Max && 2*from <= to.Length) {
			out.hexOf = x
		}
		x = fmt.Sprintf("tds.utf16(%s)", x)
		if from != datatype.Max {
			from *= 2
		}
	case e.typ.IsText():
		if to.Kind == datatype.VarBinary && (to.Length == datatype.Max || from != datatype.Max && from <= to.Length) {
			out.hexOf = x
		}
		x = fmt.Sprintf("convert_to(%s, 'UTF8')", x)
	case e.typ.Kind == datatype.TinyInt || e.typ.Kind == datatype.Bit:
		x, from = fmt.Sprintf("substr(int2send(%s), 2, 1)", x), 1
	case e.typ.Kind == datatype.SmallInt:
		x, from = fmt.Sprintf("int2send(%s)", x), 2
	case e.typ.Kind == datatype.Int:
		x, from = fmt.Sprintf("int4send(%s)", x), 4
	case e.typ.Kind == datatype.BigInt:
		x, from = fmt.Sprintf("int8send(%s)", x), 8
	default:
		return out, impossible(e.typ, to)
	}
	if to.Length != datatype.Max && (from == datatype.Max || from > to.Length) {
		switch {
		case m == assigning:
			x = fmt.Sprintf("tds.fit_binary(%s, %d)", x, to.Length)
		case e.typ.IsInteger():
			return out, impossible(e.typ, to) // it would keep the last bytes
		default:
			x = fmt.Sprintf("substr(%s, 1, %d)", x, to.Length)
		}
	}
	if to.Kind == datatype.Binary {
		if e.typ.IsInteger() {
			x = fmt.Sprintf("tds.pad_left(%s, %d)", x, to.Length)
		} else {
			x = fmt.Sprintf("tds.pad_binary(%s, %d)", x, to.Length)
		}
	}
	out.sql = x
	return out, nil
}

// toTemporal converts among dates and times, and from text in ISO form.
func toTemporal(e typed, to datatype.Type) (string, error) {
	if e.typ == to {
		return e.sql, nil
	}
	cast := "::" + to.Postgres()
	switch {
	case e.typ.IsText():
		return fmt.Sprintf("tds.to_%s(%s)%s", to.Kind, e.sql, cast), nil
	case !e.typ.IsTemporal():
		return "", impossible(e.typ, to)
	case e.typ.Kind == to.Kind:
		return fmt.Sprintf("(%s)%s", e.sql, cast), nil
	case e.typ.Kind == datatype.Time || to.Kind == datatype.Time && e.typ.Kind == datatype.Date:
		return "", impossible(e.typ, to)
	}
	// An offset is always 0, so that a datetimeoffset's own time is UTC.
	x := "(" + e.sql + ")"
	if e.typ.Kind == datatype.DateTimeOffset {
		x = "(" + x + " AT TIME ZONE 'UTC')"
	}
	if to.Kind == datatype.DateTimeOffset {
		x = "(" + x + "::timestamp AT TIME ZONE 'UTC')"
	}
	return x + cast, nil
}

func toGUID(e typed) (string, error) {
	switch {
	case e.typ.Kind == datatype.UniqueIdentifier:
		return e.sql, nil
	case e.typ.IsText():
		return fmt.Sprintf("tds.to_guid(%s)", e.sql), nil
	}
	return "", impossible(e.typ, datatype.Simple(datatype.UniqueIdentifier))
}

// temporalText writes a date or time in a style; the caller has checked that the style is 23, 120, 121 or 126.
func temporalText(e typed, style string) string {
	t := e.typ
	fraction := func(x string, digits int) string {
		if style == "120" {
			digits = 0
		}
		if digits == 0 {
			return x
		}
		return fmt.Sprintf("%s || left(to_char(%s, '.US') || '0', %d)", x, e.sql, digits+1)
	}
	separator := " "
	if style == "126" {
		separator = `"T"`
	}
	switch {
	case t.Kind == datatype.Date || style == "23":
		return fmt.Sprintf("to_char(%s, 'YYYY-MM-DD')", e.sql)
	case t.Kind == datatype.Time:
		return fraction(fmt.Sprintf("to_char(%s, 'HH24:MI:SS')", e.sql), t.Scale)
	}
	x := fraction(fmt.Sprintf("to_char(%s, 'YYYY-MM-DD%sHH24:MI:SS')", e.sql, separator), t.Scale)
	if t.Kind == datatype.DateTimeOffset {
		zone := " +00:00"
		if style == "126" {
			zone = "+00:00"
		}
		x += " || '" + zone + "'"
	}
	return "(" + x + ")"
}
