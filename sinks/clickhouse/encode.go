package clickhouse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/etlsandbox/cdc/schemas/change"
)

// What Date32 and DateTime64(6) hold; beyond it the server shows other moments than it was given.
const (
	firstDay = -25567 // 1900-01-01
	lastDay  = 120529 // 2299-12-31

	dayMicros   = 86_400_000_000
	firstMicros = firstDay * dayMicros
	lastMicros  = (lastDay+1)*dayMicros - 1
)

// errRefused marks a value that the destination's type cannot hold: its row is poison. Nothing is clamped,
// wrapped or rounded.
var errRefused = errors.New("the destination cannot hold the value")

// makeText is the way out for a moment that no type of the server holds.
const makeText = " (to keep such values, make the column a Nullable(String))"

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRefused, fmt.Sprintf(format, args...))
}

// data is a column of a block as the native format has it: the NULL map of a nullable column, then the
// values one after the other.
type data struct {
	nulls  []byte
	values []byte
}

func (d *data) reset() { d.nulls, d.values = d.nulls[:0], d.values[:0] }

// cut takes back what was appended since.
func (d *data) cut(m mark) { d.nulls, d.values = d.nulls[:m.nulls], d.values[:m.values] }

// zero appends the value that stands where there is none.
func (d *data) zero(c *column, null bool) {
	if c.nullable {
		b := byte(0)
		if null {
			b = 1
		}
		d.nulls = append(d.nulls, b)
	}
	for range c.form.size() {
		d.values = append(d.values, 0)
	}
}

// size is the bytes of an empty value.
func (f form) size() int {
	switch f.kind {
	case kindInt, kindUint, kindFloat:
		return f.bits / 8
	case kindDecimal:
		switch {
		case f.precision <= digits32:
			return 4
		case f.precision <= digits64:
			return 8
		case f.precision <= digits128:
			return 16
		}
		return 32
	case kindDate:
		return 4
	case kindDateTime64:
		return 8
	case kindString, kindBool:
	}
	return 1
}

// append appends a value of the source. After an error the column is as it was.
func (d *data) append(c *column, v change.Value) error {
	switch {
	case v.IsNull() && c.nullable:
		d.zero(c, true)
		return nil
	case v.IsNull():
		return refuse("NULL in a column that is not nullable")
	case v.IsAbsent():
		return refuse("it was not transmitted (left out of a partial row image, or larger than the broker takes)")
	case v.Kind() != c.typ.Kind:
		return refuse("a value of kind %s in a column of kind %s", v.Kind(), c.typ.Kind)
	}
	out, err := appendValue(d.values, c.form, v)
	if err != nil {
		return err
	}
	d.values = out
	if c.nullable {
		d.nulls = append(d.nulls, 0)
	}
	return nil
}

func appendValue(b []byte, f form, v change.Value) ([]byte, error) {
	switch f.kind {
	case kindString:
		s := textOf(v)
		return append(binary.AppendUvarint(b, uint64(len(s))), s...), nil
	case kindInt:
		return appendSigned(b, f.bits, v)
	case kindUint:
		return appendUnsigned(b, f.bits, v)
	case kindFloat:
		if f.bits == 32 && float64(float32(v.Double())) != v.Double() {
			return b, refuse("%s in a column of type %s", v, f.ddl())
		}
		if f.bits == 32 {
			return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v.Double()))), nil
		}
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Double())), nil
	case kindDecimal:
		return appendDecimal(b, f, v.Text())
	case kindDate:
		if d := v.Int(); d < firstDay || d > lastDay {
			return b, refuse("Date32 holds 1900-01-01 to 2299-12-31, not %s"+makeText, v)
		}
		return binary.LittleEndian.AppendUint32(b, uint32(int32(v.Int()))), nil
	case kindDateTime64:
		if m := v.Int(); m < firstMicros || m > lastMicros {
			return b, refuse("DateTime64(6) holds the years 1900 to 2299, not %s"+makeText, v)
		}
		return binary.LittleEndian.AppendUint64(b, uint64(v.Int())), nil
	case kindBool:
	}
	return b, refuse("%s in a column of type %s", v, f.ddl())
}

func appendSigned(b []byte, bits int, v change.Value) ([]byte, error) {
	n := v.Int()
	if v.Kind() == change.Uint && n < 0 {
		return b, refuse("%d is out of range", v.Uint())
	}
	if shift := 64 - bits; n<<shift>>shift != n {
		return b, refuse("%d is out of range", n)
	}
	return appendBits(b, bits, uint64(n)), nil
}

func appendUnsigned(b []byte, bits int, v change.Value) ([]byte, error) {
	n := v.Uint()
	if v.Kind() != change.Uint {
		if v.Int() < 0 {
			return b, refuse("%d is out of range", v.Int())
		}
		n = uint64(v.Int())
	}
	if bits < 64 && n>>bits != 0 {
		return b, refuse("%d is out of range", n)
	}
	return appendBits(b, bits, n), nil
}

func appendBits(b []byte, bits int, n uint64) []byte {
	switch bits {
	case 8:
		return append(b, byte(n))
	case 16:
		return binary.LittleEndian.AppendUint16(b, uint16(n))
	case 32:
		return binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return binary.LittleEndian.AppendUint64(b, n)
}
