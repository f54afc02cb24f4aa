package change

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind says what a Value holds. The zero Kind is Null, so the zero Value is SQL NULL.
type Kind uint8

// The kinds of a Value. Null and Absent are kinds of their own: Null is SQL's NULL, Absent is a
// value that was not transmitted (a column left out of a partial row image, or one replaced by
// Debezium's "unavailable" placeholder) and must never be stored as if it were a value.
const (
	Null Kind = iota
	Absent
	Int       // signed integer, 64 bits
	Uint      // unsigned integer, 64 bits; also BIT(n)
	Float     // FLOAT: 32-bit precision, held as the float64 it converts to exactly
	Double    // DOUBLE
	Decimal   // exact decimal in canonical text: "-12.340", scale as declared, no exponent, never "-0"
	String    // text in UTF-8; also ENUM and SET (by name)
	Bytes     // binary string
	Date      // days since 1970-01-01, proleptic Gregorian
	Time      // signed microseconds
	Datetime  // microseconds since 1970-01-01T00:00:00 of the wall clock, read as if UTC
	Timestamp // microseconds since the Unix epoch
	Year      // 1901..2155, or 0
	JSON      // JSON text
)

var kindNames = [...]string{
	"null", "absent", "int", "uint", "float", "double", "decimal", "string", "bytes",
	"date", "time", "datetime", "timestamp", "year", "json",
}

// String names the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one typed SQL value. It is immutable and comparable with ==, which means "identical":
// same kind, same content (1 and 1.0 differ; strings compare as bytes). SQL's comparison is the
// view compiler's business.
type Value struct {
	kind Kind
	n    uint64
	s    string
}

// Row is a row's values in the order of its table's columns.
type Row []Value

// NullValue returns SQL NULL.
func NullValue() Value { return Value{} }

// AbsentValue returns the mark of a value that was not transmitted.
func AbsentValue() Value { return Value{kind: Absent} }

// IntValue returns a signed integer.
func IntValue(v int64) Value { return Value{kind: Int, n: uint64(v)} }

// UintValue returns an unsigned integer.
func UintValue(v uint64) Value { return Value{kind: Uint, n: v} }

// FloatValue returns a FLOAT.
func FloatValue(v float32) Value { return Value{kind: Float, n: math.Float64bits(float64(v))} }

// DoubleValue returns a DOUBLE. Negative zero becomes zero: SQL cannot tell them apart.
func DoubleValue(v float64) Value {
	if v == 0 {
		v = 0
	}
	return Value{kind: Double, n: math.Float64bits(v)}
}

// DecimalValue returns an exact decimal from canonical text (see Decimal); NormalDecimal makes
// other spellings canonical.
func DecimalValue(text string) Value { return Value{kind: Decimal, s: text} }

// StringValue returns text.
func StringValue(s string) Value { return Value{kind: String, s: s} }

// BytesValue returns a binary string; the bytes are copied.
func BytesValue(b []byte) Value { return Value{kind: Bytes, s: string(b)} }

// BytesString returns a binary string that shares s.
func BytesString(s string) Value { return Value{kind: Bytes, s: s} }

// DateValue returns a date from days since 1970-01-01.
func DateValue(days int64) Value { return Value{kind: Date, n: uint64(days)} }

// TimeValue returns a TIME from signed microseconds.
func TimeValue(micros int64) Value { return Value{kind: Time, n: uint64(micros)} }

// DatetimeValue returns a DATETIME from microseconds of the wall clock, read as if UTC.
func DatetimeValue(micros int64) Value { return Value{kind: Datetime, n: uint64(micros)} }

// TimestampValue returns a TIMESTAMP from microseconds since the Unix epoch.
func TimestampValue(micros int64) Value { return Value{kind: Timestamp, n: uint64(micros)} }

// YearValue returns a YEAR.
func YearValue(y int64) Value { return Value{kind: Year, n: uint64(y)} }

// JSONValue returns JSON text.
func JSONValue(text string) Value { return Value{kind: JSON, s: text} }

// Kind returns what the value holds.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is SQL NULL.
func (v Value) IsNull() bool { return v.kind == Null }

// IsAbsent reports whether the value was not transmitted.
func (v Value) IsAbsent() bool { return v.kind == Absent }

// Int returns the content of Int, Date (days), Time, Datetime, Timestamp (microseconds) and Year.
// Of other kinds the result has no meaning.
func (v Value) Int() int64 { return int64(v.n) }

// Uint returns the content of Uint.
func (v Value) Uint() uint64 { return v.n }

// Double returns the content of Float and Double.
func (v Value) Double() float64 { return math.Float64frombits(v.n) }

// Text returns the content of Decimal, String, Bytes and JSON, without a copy.
func (v Value) Text() string { return v.s }

// MemSize estimates the bytes of memory the value holds, its own header included.
func (v Value) MemSize() int { return 32 + len(v.s) }

// String prints the value for people: logs, verify's report, test failures. It is not a wire format.
func (v Value) String() string {
	switch v.kind {
	case Null:
		return "NULL"
	case Absent:
		return "(absent)"
	case Int, Year:
		return strconv.FormatInt(v.Int(), 10)
	case Uint:
		return strconv.FormatUint(v.n, 10)
	case Float:
		return strconv.FormatFloat(v.Double(), 'g', -1, 32)
	case Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case Decimal:
		return v.s
	case String, JSON:
		return strconv.Quote(v.s)
	case Bytes:
		return "0x" + strings.ToUpper(hexString(v.s))
	case Date:
		return time.Unix(v.Int()*86400, 0).UTC().Format("2006-01-02")
	case Time:
		return formatTime(v.Int())
	case Datetime:
		return time.UnixMicro(v.Int()).UTC().Format("2006-01-02 15:04:05.999999")
	case Timestamp:
		return time.UnixMicro(v.Int()).UTC().Format("2006-01-02T15:04:05.999999Z")
	default:
		return v.kind.String()
	}
}

func hexString(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}

func formatTime(us int64) string {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	d := time.Duration(us) * time.Microsecond
	s := sign + pad2(int64(d.Hours())) + ":" + pad2(us/60e6%60) + ":" + pad2(us/1e6%60)
	if f := us % 1e6; f != 0 {
		s += strings.TrimRight("."+strconv.FormatInt(1e6+f, 10)[1:], "0")
	}
	return s
}

func pad2(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// NormalDecimal returns the canonical text of a decimal at a scale (digits after the point): no plus
// sign, no leading zeros, exactly scale digits after the point, no negative zero. ok is false when
// the text is not a plain decimal or has more non-zero digits after the point than scale allows.
// A negative scale keeps the digits that the text has.
func NormalDecimal(text string, scale int) (canonical string, ok bool) {
	neg := false
	t := text
	if t != "" && (t[0] == '-' || t[0] == '+') {
		neg, t = t[0] == '-', t[1:]
	}
	whole, frac, _ := strings.Cut(t, ".")
	if whole == "" && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if scale >= 0 {
		if len(frac) > scale {
			if strings.Trim(frac[scale:], "0") != "" {
				return "", false
			}
			frac = frac[:scale]
		}
		frac += strings.Repeat("0", scale-len(frac))
	}
	zero := whole == "" && strings.Trim(frac, "0") == ""
	if whole == "" {
		whole = "0"
	}
	if neg && !zero {
		whole = "-" + whole
	}
	if frac != "" {
		whole += "." + frac
	}
	return whole, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Clone returns a copy of the row.
func (r Row) Clone() Row { return append(Row(nil), r...) }

// MemSize estimates the bytes of memory the row holds.
func (r Row) MemSize() int {
	n := 24
	for _, v := range r {
		n += v.MemSize()
	}
	return n
}

// Equal reports whether two rows are identical, value by value.
func (r Row) Equal(o Row) bool {
	if len(r) != len(o) {
		return false
	}
	for i := range r {
		if r[i] != o[i] {
			return false
		}
	}
	return true
}
