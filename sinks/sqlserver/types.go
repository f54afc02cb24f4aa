package sqlserver

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// form is how a column's values travel to SQL Server.
type form uint8

const (
	formInt     form = iota // tinyint, smallint, int, bigint
	formDecimal             // decimal; also unsigned BIGINT and BIT(64)
	formReal
	formFloat
	formText // nvarchar; also JSON, ENUM, SET
	formBinary
	formDate
	formTime
	formDatetime  // datetime2
	formTimestamp // datetimeoffset, in UTC
	formBit
)

// lengthMax is the length of a (max) type.
const lengthMax = -1

// Limits of SQL Server.
const (
	maxDigits     = 38   // of a decimal
	maxUnits      = 4000 // UTF-16 units of an nvarchar that is not (max)
	maxBytes      = 8000 // of a varbinary that is not (max)
	clusteredKey  = 900  // bytes of a clustered index's key
	indexKey      = 1700 // bytes of any other index's key
	enumCharacter = 255  // of an ENUM's member at most
)

// sqlType is a type of the destination.
type sqlType struct {
	name string // as sys.types has it
	// length of text in UTF-16 units and of binary strings in bytes; lengthMax is (max).
	length           int
	precision, scale int
}

// String is the type as a column is declared.
func (t sqlType) String() string {
	switch t.name {
	case "nvarchar", "nchar", "varchar", "char", "varbinary", "binary":
		if t.length == lengthMax {
			return t.name + "(max)"
		}
		return fmt.Sprintf("%s(%d)", t.name, t.length)
	case "decimal", "numeric":
		return fmt.Sprintf("%s(%d,%d)", t.name, t.precision, t.scale)
	case "time", "datetime2", "datetimeoffset":
		return fmt.Sprintf("%s(%d)", t.name, t.scale)
	}
	return t.name
}

// bytes is the most that a value takes in an index's key; indexKey+1 of types that no index takes.
func (t sqlType) bytes() int {
	switch t.name {
	case "nvarchar", "nchar":
		if t.length != lengthMax {
			return 2 * t.length
		}
		return indexKey + 1
	case "varbinary", "binary", "varchar", "char":
		if t.length != lengthMax {
			return t.length
		}
		return indexKey + 1
	case "decimal", "numeric":
		return 17
	case "datetimeoffset":
		return 10
	}
	return 8
}

// typeOf maps a type of the source to its form and to the type of a column that is made for it.
//
// Unsigned integers take the next wider type (TINYINT UNSIGNED tinyint, which is unsigned there), BIGINT UNSIGNED
// decimal(20,0). Text is nvarchar, with room for two units per character where the character set has characters that
// need them; text without a bound, and JSON, nvarchar(max). TIMESTAMP is a moment: datetimeoffset, in UTC. What
// cannot be held whatever the value is (a DECIMAL of more than 38 digits) is an error that says so.
func typeOf(t change.Type) (form, sqlType, error) {
	//exhaustive:enforce
	switch t.Kind {
	case change.Int:
		return formInt, sqlType{name: signed(t.Name)}, nil
	case change.Uint:
		f, s := unsigned(t)
		return f, s, nil
	case change.Year:
		return formInt, sqlType{name: "smallint"}, nil
	case change.Float:
		return formReal, sqlType{name: "real"}, nil
	case change.Double:
		return formFloat, sqlType{name: "float"}, nil
	case change.Decimal:
		if t.Precision > maxDigits {
			return 0, sqlType{}, fmt.Errorf("DECIMAL(%d,%d) has more than the %d digits that SQL Server's decimal can hold", t.Precision, t.Scale, maxDigits)
		}
		if t.Precision == 0 {
			return formDecimal, sqlType{name: "decimal", precision: maxDigits, scale: max(0, t.Scale)}, nil
		}
		return formDecimal, sqlType{name: "decimal", precision: t.Precision, scale: t.Scale}, nil
	case change.Bytes:
		if (t.Name == "varbinary" || t.Name == "binary") && t.Length > 0 && t.Length <= maxBytes {
			return formBinary, sqlType{name: "varbinary", length: t.Length}, nil
		}
		return formBinary, sqlType{name: "varbinary", length: lengthMax}, nil
	case change.Date:
		return formDate, sqlType{name: "date"}, nil
	case change.Time:
		return formTime, sqlType{name: "time", scale: 6}, nil
	case change.Datetime:
		return formDatetime, sqlType{name: "datetime2", scale: 6}, nil
	case change.Timestamp:
		return formTimestamp, sqlType{name: "datetimeoffset", scale: 6}, nil
	case change.String:
		return formText, sqlType{name: "nvarchar", length: units(t)}, nil
	case change.JSON:
		return formText, sqlType{name: "nvarchar", length: lengthMax}, nil
	case change.Null, change.Absent: // of no column's type
	}
	return 0, sqlType{}, fmt.Errorf("values of kind %s are not known here", t.Kind)
}

func signed(name string) string {
	switch name {
	case "tinyint", "smallint":
		return "smallint"
	case "mediumint", "int", "integer":
		return "int"
	}
	return "bigint"
}

func unsigned(t change.Type) (form, sqlType) {
	wide := sqlType{name: "decimal", precision: 20}
	switch t.Name {
	case "bit":
		switch {
		case t.Length == 1:
			return formBit, sqlType{name: "bit"}
		case t.Length > 0 && t.Length < 64:
			return formInt, sqlType{name: "bigint"}
		}
		return formDecimal, wide
	case "tinyint":
		return formInt, sqlType{name: "tinyint"}
	case "smallint", "mediumint":
		return formInt, sqlType{name: "int"}
	case "int", "integer":
		return formInt, sqlType{name: "bigint"}
	}
	return formDecimal, wide
}

// units is the length of the nvarchar that holds every text of a type.
func units(t change.Type) int {
	characters := 0
	switch t.Name {
	case "varchar", "char":
		characters = t.Length
	case "enum":
		characters = enumCharacter
		if len(t.Members) > 0 {
			characters = 1
		}
		for _, m := range t.Members {
			characters = max(characters, utf8.RuneCountInString(m))
		}
	case "set":
		for _, m := range t.Members {
			characters += utf8.RuneCountInString(m) + 1 // and a comma
		}
	}
	if needsPairs(t.Charset) {
		characters *= 2
	}
	if characters == 0 || characters > maxUnits {
		return lengthMax
	}
	return characters
}

// needsPairs reports whether a character set has characters beyond U+FFFF, which take two units.
func needsPairs(charset string) bool {
	switch charset {
	case "ascii", "latin1", "latin2", "latin5", "latin7", "utf8", "utf8mb3", "ucs2", "cp1250", "cp1251", "cp1252", "cp1256", "cp1257", "greek", "hebrew", "koi8r":
		return false
	}
	return true
}

// refuseType is the error of a column that SQL Server has no type for.
func refuseType(table change.TableID, column string, err error) error {
	return &sinks.StopError{
		What: fmt.Sprintf("column %s of %s cannot be delivered to SQL Server", column, table), Err: err,
		Hint: fmt.Sprintf("leave the column out, or narrow it in a view: CAST(%s AS DECIMAL(38,10))", column),
	}
}

// fit says whether a column that exists can hold every value of a type.
type fit uint8

const (
	fits    fit = iota
	widens      // after an ALTER COLUMN that loses nothing
	refuses     // values would be cut, rounded or not taken at all
)

// fitOf compares a type of the source with the type of an existing column. Text needs a unit per character: of a
// column that was made narrower than ours, only rows with many characters beyond U+FFFF are poison.
func fitOf(t change.Type, have sqlType) fit {
	f, want, err := typeOf(t)
	if err != nil {
		return refuses
	}
	switch f {
	case formInt:
		return intFit(want.name, have)
	case formDecimal:
		narrow := widens
		if t.Kind == change.Uint {
			narrow = refuses
		}
		return decimalFit(want.precision, want.scale, have, narrow)
	case formReal:
		return named(have, "real", "float")
	case formText:
		return textFit(t, want, have)
	case formBinary:
		return lengthFit("varbinary", want.length, have)
	case formTime, formDatetime, formTimestamp:
		if have.name != want.name {
			return refuses
		}
		if have.scale < t.Scale {
			return widens
		}
		return fits
	case formBit:
		return named(have, "bit", "tinyint", "smallint", "int", "bigint")
	case formFloat, formDate:
	}
	return named(have, want.name)
}

// wholeTypes are the integers with the digits that they hold whole; tinyint has no negative numbers.
var wholeTypes = map[string]int{"tinyint": 0, "smallint": 1, "int": 2, "bigint": 3}

func intFit(want string, have sqlType) fit {
	w, h := wholeTypes[want], 0
	if have.name == "decimal" || have.name == "numeric" {
		return decimalFit([]int{3, 5, 10, 19}[w], 0, have, refuses)
	}
	h, ok := wholeTypes[have.name]
	switch {
	case !ok:
		return refuses
	case h >= w:
		return fits
	}
	return widens
}

func decimalFit(precision, scale int, have sqlType, narrow fit) fit {
	if have.name != "decimal" && have.name != "numeric" {
		return refuses
	}
	if have.scale >= scale && have.precision-have.scale >= precision-scale {
		return fits
	}
	if narrow == widens && have.scale <= scale && have.precision-have.scale <= precision-scale {
		return widens
	}
	return refuses
}

func textFit(t change.Type, want, have sqlType) fit {
	if needsPairs(t.Charset) && want.length != lengthMax {
		want.length /= 2
	}
	if t.Kind == change.JSON || want.length == lengthMax {
		want.length = lengthMax
	}
	return lengthFit("nvarchar", want.length, have)
}

func lengthFit(name string, length int, have sqlType) fit {
	switch {
	case have.name != name:
		return refuses
	case have.length == lengthMax, length != lengthMax && have.length >= length:
		return fits
	}
	return widens
}

func named(have sqlType, names ...string) fit {
	for _, n := range names {
		if strings.EqualFold(have.name, n) {
			return fits
		}
	}
	return refuses
}
