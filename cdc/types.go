package cdc

import (
	"strings"

	"github.com/etlsandbox/cdc/cdc/charset"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Declared is a column's type in MySQL's words, from the catalog or from a statement.
type Declared struct {
	Name                               string // DATA_TYPE in lower case
	Full                               string // COLUMN_TYPE
	Length, Precision, Scale, Fraction int
	Charset, Collation                 string
}

// String is the declaration with its character set, as it belongs into a message.
func (d Declared) String() string {
	if d.Charset == "" {
		return d.Full
	}
	return d.Full + " character set " + d.Charset
}

// Type maps the declaration to a type of ours; ok is false when the type is not supported.
func (d Declared) Type() (t change.Type, ok bool) {
	t = change.Type{Name: d.Name}
	full := strings.ToLower(d.Full)
	if strings.Contains(full, "compressed") && d.Name != "enum" && d.Name != "set" {
		return t, false // MariaDB's COMPRESSED columns: the log carries them packed
	}
	t.Unsigned = strings.Contains(full, " unsigned") || strings.Contains(full, " zerofill")
	switch d.Name {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if t.Kind = change.Int; t.Unsigned {
			t.Kind = change.Uint
		}
	case "bit":
		t.Kind, t.Length, t.Unsigned = change.Uint, max(d.Precision, 1), true
	case "decimal":
		t.Kind, t.Precision, t.Scale = change.Decimal, d.Precision, d.Scale
	case "float":
		t.Kind = change.Float
		t.Precision, t.Scale = floatDigits(d)
	case "double":
		t.Kind = change.Double
		t.Precision, t.Scale = floatDigits(d)
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		t.Kind, t.Length, t.Charset, t.Collation = change.String, d.Length, d.Charset, d.Collation
	case "enum", "set":
		t.Kind, t.Charset, t.Collation = change.String, d.Charset, d.Collation
		t.Members, ok = members(d.Full)
		return t, ok
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		t.Kind, t.Length, t.Collation = change.Bytes, d.Length, "binary"
	case "year":
		t.Kind = change.Year
	case "date":
		t.Kind = change.Date
	case "time":
		t.Kind, t.Scale = change.Time, d.Fraction
	case "datetime":
		t.Kind, t.Scale = change.Datetime, d.Fraction
	case "timestamp":
		t.Kind, t.Scale = change.Timestamp, d.Fraction
	default:
		return t, false
	}
	if t.Kind == change.String && t.Charset == "" {
		t.Charset, t.Collation = "binary", "binary"
	}
	if t.Kind == change.String {
		_, ok = charset.Of(t.Charset)
		return t, ok
	}
	return t, true
}

// floatDigits returns M and D of FLOAT(M,D). The catalog gives a precision to plain FLOAT too, which
// says nothing.
func floatDigits(d Declared) (precision, scale int) {
	if strings.Contains(d.Full, ",") {
		return d.Precision, d.Scale
	}
	return 0, 0
}

// members reads the member list of "enum('a','it”s')". The server doubles quotes and escapes
// backslash, NUL, newline and carriage return with a backslash.
func members(full string) ([]string, bool) {
	open := strings.IndexByte(full, '(')
	if open < 0 {
		return nil, false
	}
	var list []string
	s := full[open+1:]
	for {
		if s == "" || s[0] != '\'' {
			return nil, false
		}
		var b strings.Builder
		i := 1
		for ; ; i++ {
			if i >= len(s) {
				return nil, false
			}
			if s[i] == '\\' && i+1 < len(s) {
				i++
				b.WriteByte(unescape(s[i]))
				continue
			}
			if s[i] == '\'' {
				if i+1 < len(s) && s[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			b.WriteByte(s[i])
		}
		list = append(list, b.String())
		s = s[i+1:]
		switch {
		case strings.HasPrefix(s, ")"):
			return list, true
		case strings.HasPrefix(s, ","):
			s = s[1:]
		default:
			return nil, false
		}
	}
}

func unescape(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	}
	return c
}
