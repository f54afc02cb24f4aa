package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// form is how a column's values travel in a binary COPY.
type form uint8

const (
	formInt2 form = iota
	formInt4
	formInt8
	formNumeric
	formFloat4
	formFloat8
	formText
	formBytea
	formDate
	formInterval
	formTimestamp
	formTimestamptz
	formBits
	formJSON // travels as text and is cast when stored, so that COPY refuses no row for what is in it
)

// wire is the type of a form's column in the table that COPY fills: without limits, so that a value that
// the target refuses is refused by a statement that can be halved, not by COPY.
var wire = [...]string{
	formInt2: "smallint", formInt4: "integer", formInt8: "bigint", formNumeric: "numeric",
	formFloat4: "real", formFloat8: "double precision", formText: "text", formBytea: "bytea", formDate: "date",
	formInterval: "interval", formTimestamp: "timestamp without time zone",
	formTimestamptz: "timestamp with time zone", formBits: "bit varying", formJSON: "text",
}

// typeOf maps a type of the source to its form and to the type of a column that is created for it.
// Unsigned integers take the next wider type, BIGINT UNSIGNED numeric(20). TIME is a duration of up to
// 838 hours in MySQL, which PostgreSQL's time cannot hold: it becomes interval. CHAR becomes varchar
// (MySQL strips the padding), ENUM and SET text, JSON json (the text is kept, as the source printed it).
func typeOf(t change.Type) (form, string) {
	//exhaustive:enforce
	switch t.Kind {
	case change.Int:
		return intType(t.Name, false)
	case change.Uint:
		if t.Name == "bit" && t.Length > 0 {
			return formBits, fmt.Sprintf("bit(%d)", t.Length)
		}
		return intType(t.Name, true)
	case change.Year:
		return formInt2, "smallint"
	case change.Float:
		return formFloat4, "real"
	case change.Double:
		return formFloat8, "double precision"
	case change.Decimal:
		if t.Precision > 0 {
			return formNumeric, fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
		}
		return formNumeric, "numeric"
	case change.Bytes:
		return formBytea, "bytea"
	case change.Date:
		return formDate, "date"
	case change.Time:
		return formInterval, "interval"
	case change.Datetime:
		return formTimestamp, "timestamp(6) without time zone"
	case change.Timestamp:
		return formTimestamptz, "timestamp(6) with time zone"
	case change.JSON:
		return formJSON, "json"
	case change.String, change.Null, change.Absent: // text, below
	}
	if t.Length > 0 && (t.Name == "varchar" || t.Name == "char") {
		return formText, fmt.Sprintf("character varying(%d)", t.Length)
	}
	return formText, "text"
}

func intType(name string, unsigned bool) (form, string) {
	switch name {
	case "tinyint":
		return formInt2, "smallint"
	case "smallint":
		if !unsigned {
			return formInt2, "smallint"
		}
		return formInt4, "integer"
	case "mediumint":
		return formInt4, "integer"
	case "int", "integer":
		if !unsigned {
			return formInt4, "integer"
		}
		return formInt8, "bigint"
	}
	if unsigned {
		return formNumeric, "numeric(20,0)"
	}
	return formInt8, "bigint"
}

// fit says whether a column that exists can hold every value of a type.
type fit uint8

const (
	fits    fit = iota
	widens      // after an ALTER COLUMN TYPE that loses nothing
	refuses     // values would be cut, rounded or not taken at all
)

var typeArgs = regexp.MustCompile(`\((\d+)(?:,(-?\d+))?\)`)

// fitOf compares a type of the source with the type of an existing column, as format_type prints it.
func fitOf(t change.Type, actual string) fit {
	f, want := typeOf(t)
	base, args := splitType(actual)
	switch f {
	case formInt2, formInt4, formInt8:
		width := map[string]form{"smallint": formInt2, "integer": formInt4, "bigint": formInt8}
		if have, ok := width[base]; ok {
			if have < f {
				return widens
			}
			return fits
		}
		return numericFit(20, 0, base, args, refuses)
	case formNumeric:
		_, wanted := splitType(want)
		if len(wanted) < 2 {
			return numericFit(1000, 1000, base, args, refuses)
		}
		return numericFit(wanted[0], wanted[1], base, args, widens)
	case formFloat4:
		return oneOf(base, "real", "double precision")
	case formText:
		return textFit(want, base, args)
	case formTimestamp, formTimestamptz:
		if base == strings.Replace(want, "(6)", "", 1) {
			if len(args) > 0 && args[0] < 6 {
				return widens
			}
			return fits
		}
		return refuses
	case formBits:
		_, wanted := splitType(want)
		if base == "bit varying" && (len(args) == 0 || args[0] >= wanted[0]) || base == "bit" && len(args) > 0 && args[0] == wanted[0] {
			return fits
		}
		return refuses
	case formJSON:
		return oneOf(base, "json", "jsonb", "text")
	case formInterval:
		if base == "interval" && (len(args) == 0 || args[0] == 6) {
			return fits
		}
		return refuses
	case formFloat8, formBytea, formDate:
	}
	return oneOf(base, wire[f])
}

func numericFit(precision, scale int, base string, args []int, narrow fit) fit {
	switch {
	case base != "numeric":
		return refuses
	case len(args) == 0:
		return fits
	case len(args) == 1:
		args = append(args, 0)
	}
	if args[1] >= scale && args[0]-args[1] >= precision-scale {
		return fits
	}
	if narrow == widens && args[1] <= scale && args[0]-args[1] <= precision-scale {
		return widens
	}
	return refuses
}

func textFit(want, base string, args []int) fit {
	_, wanted := splitType(want)
	switch {
	case base == "text", base == "character varying" && len(args) == 0:
		return fits
	case base != "character varying":
		return refuses
	case len(wanted) > 0 && args[0] >= wanted[0]:
		return fits
	}
	return widens
}

func oneOf(base string, names ...string) fit {
	for _, n := range names {
		if base == n {
			return fits
		}
	}
	return refuses
}

// splitType separates "timestamp(6) without time zone" into its name and its numbers.
func splitType(s string) (string, []int) {
	m := typeArgs.FindStringSubmatch(s)
	if m == nil {
		return s, nil
	}
	var args []int
	for _, a := range m[1:] {
		if a != "" {
			n, err := strconv.Atoi(a)
			if err != nil { // the expression matched digits
				return s, nil
			}
			args = append(args, n)
		}
	}
	return strings.Replace(s, m[0], "", 1), args
}
