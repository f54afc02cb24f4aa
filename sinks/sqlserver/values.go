package sqlserver

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// errRefused marks a value that cannot be stored whatever the statement: its row is poison.
var errRefused = errors.New("the destination cannot hold the value")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRefused, fmt.Sprintf(format, args...))
}

// Bounds of date and of the types with a date in them.
var (
	firstMicros = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	afterMicros = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
)

const dayMicros = 86_400_000_000

// encode is a value as bulk load takes it for a column. Everything that the driver would have to refuse is refused
// here, because it would be too late there: it is in the middle of a packet.
func (c *column) encode(v change.Value) (any, error) {
	switch {
	case v.IsNull():
		return nil, nil
	case v.IsAbsent():
		return nil, refuse("it was not transmitted (left out of a partial row image, or larger than the broker takes)")
	case v.Kind() != c.typ.Kind:
		return nil, refuse("a value of kind %s in a column of kind %s", v.Kind(), c.typ.Kind)
	}
	switch c.form {
	case formInt:
		return c.encodeInt(v)
	case formBit:
		if v.Uint() > 1 {
			return nil, refuse("%d in a bit", v.Uint())
		}
		if c.actual.name != "bit" {
			return int64(v.Uint()), nil
		}
		return v.Uint() == 1, nil
	case formDecimal:
		text := v.String()
		if err := c.checkDigits(text); err != nil {
			return nil, err
		}
		return text, nil
	case formReal, formFloat:
		if f := v.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, refuse("%v is no number for SQL Server", f)
		} else if c.actual.name == "real" && float64(float32(f)) != f {
			return nil, refuse("%v does not fit the digits of real", f)
		}
		return v.Double(), nil
	case formText:
		return c.encodeText(v.Text())
	case formBinary:
		s := v.Text()
		if c.actual.length != lengthMax && len(s) > c.actual.length {
			return nil, refuse("%d bytes in %s", len(s), c.actual)
		}
		return []byte(s), nil
	}
	return c.encodeTime(v)
}

func (c *column) encodeTime(v change.Value) (any, error) {
	if c.form == formTime {
		if v.Int() < 0 || v.Int() >= dayMicros {
			return nil, refuse("%s is outside 00:00:00 to 23:59:59.999999, which is all that SQL Server's time can hold", v)
		}
		return c.moment(v.Int())
	}
	micros := v.Int()
	if c.form == formDate {
		if micros > afterMicros/dayMicros || micros < firstMicros/dayMicros-1 { // before it is multiplied
			return nil, refuse("%s is outside the years 1 to 9999", v)
		}
		micros *= dayMicros
	}
	if micros < firstMicros || micros >= afterMicros {
		return nil, refuse("%s is outside the years 1 to 9999", v)
	}
	return c.moment(micros)
}

// moment refuses what a column with fewer digits of the second would round.
func (c *column) moment(micros int64) (any, error) {
	unit := int64(1)
	for range 6 - min(6, c.actual.scale) {
		unit *= 10
	}
	if c.form != formDate && micros%unit != 0 {
		return nil, refuse("%d microseconds do not fit the digits of %s", micros, c.actual)
	}
	return time.UnixMicro(micros).UTC(), nil
}

func (c *column) encodeInt(v change.Value) (any, error) {
	n := v.Int()
	if v.Kind() == change.Uint && v.Uint() > math.MaxInt64 {
		return nil, refuse("%d is out of range", v.Uint())
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch c.actual.name {
	case "decimal", "numeric": // the driver would take an integer for the digits, whatever the scale
		return v.String(), c.checkDigits(v.String())
	case "tinyint":
		lo, hi = 0, math.MaxUint8
	case "smallint":
		lo, hi = math.MinInt16, math.MaxInt16
	case "int":
		lo, hi = math.MinInt32, math.MaxInt32
	}
	if n < lo || n > hi {
		return nil, refuse("%d is out of the range of %s", n, c.actual)
	}
	return n, nil
}

// checkDigits refuses what does not fit a decimal: the driver would not see it.
func (c *column) checkDigits(text string) error {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if len(whole) > c.actual.precision-c.actual.scale || len(fraction) > c.actual.scale {
		return refuse("%s is out of the range of %s", text, c.actual)
	}
	return nil
}

// encodeText is text in UTF-16, as it travels.
func (c *column) encodeText(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, refuse("text that is not UTF-8")
	}
	b := make([]byte, 0, 2*len(s))
	for _, r := range s {
		if r < 0x10000 {
			b = binary.LittleEndian.AppendUint16(b, uint16(r))
			continue
		}
		r -= 0x10000
		b = binary.LittleEndian.AppendUint16(b, 0xd800+uint16(r>>10))
		b = binary.LittleEndian.AppendUint16(b, 0xdc00+uint16(r&0x3ff))
	}
	if n := len(b) / 2; c.actual.length != lengthMax && n > c.actual.length {
		return nil, refuse("text of %d UTF-16 units in %s", n, c.actual)
	}
	return b, nil
}

// declared is the type under which a parameter for the column is declared: the one in which the driver sends it, so
// that the only conversion is that of an INSERT. Every value that argument lets through survives it unchanged.
func (c *column) declared() sqlType {
	const digits = 50 // of a decimal as text, sign and point among them
	switch c.form {
	case formInt:
		if c.asText() {
			return sqlType{name: "nvarchar", length: digits}
		}
		return sqlType{name: "bigint"}
	case formDecimal:
		return sqlType{name: "nvarchar", length: digits}
	case formReal, formFloat:
		return sqlType{name: "float"}
	case formDate, formTime, formDatetime, formTimestamp:
		return sqlType{name: "datetimeoffset", scale: 7}
	case formBit:
		if c.actual.name != "bit" {
			return sqlType{name: "bigint"}
		}
	case formText, formBinary:
	}
	return c.actual
}

// asText says that integers travel as text: the driver would take them for the digits of a decimal.
func (c *column) asText() bool { return c.actual.name == "decimal" || c.actual.name == "numeric" }

// argument is a value as a declared parameter takes it for a column; like encode it refuses what would not fit.
func (c *column) argument(v change.Value) (any, error) {
	e, err := c.encode(v)
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return c.none(), nil
	case c.form == formText:
		return v.Text(), nil
	}
	return e, nil
}

// none is NULL as a declared parameter takes it for a column: not every type takes a NULL of another.
func (c *column) none() any {
	switch c.form {
	case formInt:
		if !c.asText() {
			return sql.NullInt64{}
		}
	case formReal, formFloat:
		return sql.NullFloat64{}
	case formBinary:
		return []byte(nil)
	case formDate, formTime, formDatetime, formTimestamp:
		return sql.NullTime{}
	case formBit:
		if c.actual.name != "bit" {
			return sql.NullInt64{}
		}
		return sql.NullBool{}
	case formDecimal, formText:
	}
	return sql.NullString{}
}

// decode is the inverse of encode for what the driver reads.
func (c *column) decode(got any) (change.Value, error) {
	if got == nil {
		return change.NullValue(), nil
	}
	switch v := got.(type) {
	case int64:
		return c.decodeInt(v), nil
	case bool:
		if v {
			return change.UintValue(1), nil
		}
		return change.UintValue(0), nil
	case float64:
		if c.typ.Kind == change.Float {
			return change.FloatValue(float32(v)), nil
		}
		return change.DoubleValue(v), nil
	case string:
		if c.typ.Kind == change.JSON {
			return change.JSONValue(v), nil
		}
		return change.StringValue(v), nil
	case time.Time:
		return c.decodeTime(v), nil
	case []byte:
		if c.form == formBinary {
			return change.BytesValue(v), nil
		}
		return c.decodeDecimal(string(v))
	}
	return change.Value{}, fmt.Errorf("column %s: the driver reads a %T", c.name, got)
}

func (c *column) decodeInt(n int64) change.Value {
	switch c.typ.Kind {
	case change.Uint:
		return change.UintValue(uint64(n))
	case change.Year:
		return change.YearValue(n)
	}
	return change.IntValue(n)
}

func (c *column) decodeTime(t time.Time) change.Value {
	switch c.typ.Kind {
	case change.Date:
		return change.DateValue(t.Unix() / 86400)
	case change.Time:
		return change.TimeValue((int64(t.Hour())*3600+int64(t.Minute())*60+int64(t.Second()))*1_000_000 + int64(t.Nanosecond()/1000))
	case change.Timestamp:
		return change.TimestampValue(t.UnixMicro())
	}
	return change.DatetimeValue(t.UnixMicro())
}

func (c *column) decodeDecimal(s string) (change.Value, error) {
	switch c.typ.Kind {
	case change.Uint:
		whole, _, _ := strings.Cut(s, ".")
		var n uint64
		if _, err := fmt.Sscan(whole, &n); err != nil {
			return change.Value{}, fmt.Errorf("column %s: read %q: %w", c.name, s, err)
		}
		return change.UintValue(n), nil
	case change.Int:
		whole, _, _ := strings.Cut(s, ".")
		var n int64
		if _, err := fmt.Sscan(whole, &n); err != nil {
			return change.Value{}, fmt.Errorf("column %s: read %q: %w", c.name, s, err)
		}
		return change.IntValue(n), nil
	}
	if canonical, ok := change.NormalDecimal(s, c.typ.Scale); ok {
		s = canonical
	} // else it is no value of the source, and differs from all of them
	return change.DecimalValue(s), nil
}

// parameter is a value as a parameter of a statement. Its place in the text casts it to the column's type.
func (c *column) parameter(v change.Value) any {
	switch c.form {
	case formInt:
		return v.Int()
	case formBit:
		return int64(v.Uint())
	case formReal, formFloat:
		return v.Double()
	case formBinary:
		return []byte(v.Text())
	case formText:
		return v.Text()
	case formDecimal:
		return v.String()
	case formDate:
		return time.Unix(v.Int()*86400, 0).UTC()
	}
	return time.UnixMicro(v.Int()).UTC()
}
