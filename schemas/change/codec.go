package change

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The first byte of an encoded value. Durable: numbers are never reused.
const (
	codeNull      = 0x00
	codeAbsent    = 0x01
	codeInt       = 0x02 // zigzag varint; so are the temporal kinds
	codeUint      = 0x03 // uvarint
	codeFloat     = 0x04 // 8 bytes little-endian: IEEE 754
	codeDouble    = 0x05
	codeDecimal   = 0x06 // uvarint length, then the text; so are String, Bytes and JSON
	codeString    = 0x07
	codeBytes     = 0x08
	codeDate      = 0x09
	codeTime      = 0x0a
	codeDatetime  = 0x0b
	codeTimestamp = 0x0c
	codeYear      = 0x0d
	codeJSON      = 0x0e
)

var codeOf = [...]byte{
	Null: codeNull, Absent: codeAbsent, Int: codeInt, Uint: codeUint, Float: codeFloat, Double: codeDouble,
	Decimal: codeDecimal, String: codeString, Bytes: codeBytes, Date: codeDate, Time: codeTime,
	Datetime: codeDatetime, Timestamp: codeTimestamp, Year: codeYear, JSON: codeJSON,
}

var kindOf = [...]Kind{
	codeNull: Null, codeAbsent: Absent, codeInt: Int, codeUint: Uint, codeFloat: Float, codeDouble: Double,
	codeDecimal: Decimal, codeString: String, codeBytes: Bytes, codeDate: Date, codeTime: Time,
	codeDatetime: Datetime, codeTimestamp: Timestamp, codeYear: Year, codeJSON: JSON,
}

// ErrShortValue says that an encoded value ends too early.
var ErrShortValue = errors.New("the encoded value ends too early")

// AppendValue appends the compact encoding of a value: its kind in one byte, then its content. It keeps
// everything, Absent and the scale of decimals included, and does not order (AppendKey does).
func AppendValue(b []byte, v Value) []byte {
	b = append(b, codeOf[v.kind])
	switch v.kind {
	case Null, Absent:
		return b
	case Uint:
		return binary.AppendUvarint(b, v.n)
	case Float, Double:
		return binary.LittleEndian.AppendUint64(b, v.n)
	case Decimal, String, Bytes, JSON:
		b = binary.AppendUvarint(b, uint64(len(v.s)))
		return append(b, v.s...)
	default:
		return binary.AppendVarint(b, int64(v.n))
	}
}

// DecodeValue decodes one value from the front of b and returns what follows it. Text is copied.
func DecodeValue(b []byte) (Value, []byte, error) {
	return decodeValue(b, nil)
}

// decodeValue is DecodeValue; of one value among several, text is a copy of what b ends with, made when the
// first text needs it, in which the text of all values lies.
func decodeValue(b []byte, text *string) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, ErrShortValue
	}
	if int(b[0]) >= len(kindOf) {
		return Value{}, nil, fmt.Errorf("decode value: kind %#02x is unknown: written by a later version?", b[0])
	}
	v := Value{kind: kindOf[b[0]]}
	b = b[1:]
	switch v.kind {
	case Null, Absent:
		return v, b, nil
	case Float, Double:
		if len(b) < 8 {
			return Value{}, nil, ErrShortValue
		}
		v.n = binary.LittleEndian.Uint64(b)
		if math.IsNaN(math.Float64frombits(v.n)) {
			return Value{}, nil, errors.New("decode value: not a number")
		}
		return v, b[8:], nil
	case Uint, Decimal, String, Bytes, JSON:
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return Value{}, nil, ErrShortValue
		}
		b = b[size:]
		if v.kind == Uint {
			v.n = n
			return v, b, nil
		}
		if uint64(len(b)) < n {
			return Value{}, nil, ErrShortValue
		}
		if text == nil {
			v.s = string(b[:n])
			return v, b[n:], nil
		}
		if len(*text) < len(b) {
			*text = string(b)
		}
		v.s = (*text)[len(*text)-len(b):][:n]
		return v, b[n:], nil
	default:
		n, size := binary.Varint(b)
		if size <= 0 {
			return Value{}, nil, ErrShortValue
		}
		v.n = uint64(n)
		return v, b[size:], nil
	}
}

// AppendRow appends the encoding of the row's values at the given indexes; nil is all of them.
func AppendRow(b []byte, r Row, columns []int) []byte {
	if columns == nil {
		for _, v := range r {
			b = AppendValue(b, v)
		}
		return b
	}
	for _, c := range columns {
		b = AppendValue(b, r[c])
	}
	return b
}

// DecodeRow decodes values into dst, all of b: the i-th goes to index columns[i] (nil: i). A column
// index below zero drops the value. What dst holds elsewhere stays. The text of all values shares one copy.
func DecodeRow(b []byte, dst Row, columns []int) error {
	n := len(columns)
	if columns == nil {
		n = len(dst)
	}
	var text string
	for i := range n {
		v, rest, err := decodeValue(b, &text)
		if err != nil {
			return fmt.Errorf("decode row: value %d of %d: %w", i+1, n, err)
		}
		b = rest
		if columns == nil {
			dst[i] = v
		} else if c := columns[i]; c >= 0 {
			dst[c] = v
		}
	}
	if len(b) > 0 {
		return fmt.Errorf("decode row: %d bytes left over after %d values", len(b), n)
	}
	return nil
}
