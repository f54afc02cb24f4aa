package change

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Key is the order-preserving encoding of key values: comparing two keys of the same columns as bytes
// gives the order of their values, column by column, NULL first. Text orders by its UTF-8 bytes, which
// is the server's order only under binary collations.
//
// The encoding of a value is self-delimiting, so the encoding of leading columns is a prefix of the
// whole. Format (version 1, durable in state stores and progress records):
//
//	NULL                       00
//	Int Date Time Datetime Timestamp Year   01, then 8 bytes big-endian with the sign bit flipped
//	Uint                       02, then 8 bytes big-endian
//	Float Double               03, then 8 bytes: IEEE bits, negative ones inverted, else sign bit set
//	Decimal                    04, then sign and digits (see appendDecimal)
//	String Bytes JSON          05, then the bytes with 00 written as 00 FF, ended by 00 00
type Key string

const (
	tagNull byte = iota
	tagInt
	tagUint
	tagFloat
	tagDecimal
	tagText
)

// ErrAbsent says that a key was asked for of a row that lacks one of its values.
var ErrAbsent = errors.New("a key column's value was not transmitted")

// RowKey returns the key of a row of the table.
func (t *Table) RowKey(r Row) (Key, error) {
	b, err := t.AppendRowKey(make([]byte, 0, 9*len(t.Key)), r)
	return Key(b), err
}

// AppendRowKey appends the key of a row to b.
func (t *Table) AppendRowKey(b []byte, r Row) ([]byte, error) {
	for _, c := range t.Key {
		if r[c].IsAbsent() {
			return b, fmt.Errorf("key of %s: column %s: %w", t.ID, t.Columns[c].Name, ErrAbsent)
		}
		b = AppendKey(b, r[c])
	}
	return b, nil
}

// KeyOf returns the key of the given values.
func KeyOf(vs ...Value) Key {
	var b []byte
	for _, v := range vs {
		b = AppendKey(b, v)
	}
	return Key(b)
}

// AppendKey appends the order-preserving encoding of one value to b. An Absent value encodes as NULL;
// callers check for it first (AppendRowKey does).
func AppendKey(b []byte, v Value) []byte {
	switch v.kind {
	case Int, Date, Time, Datetime, Timestamp, Year:
		return binary.BigEndian.AppendUint64(append(b, tagInt), v.n^(1<<63))
	case Uint:
		return binary.BigEndian.AppendUint64(append(b, tagUint), v.n)
	case Float, Double:
		u := v.n
		if u>>63 != 0 {
			u = ^u
		} else {
			u |= 1 << 63
		}
		return binary.BigEndian.AppendUint64(append(b, tagFloat), u)
	case Decimal:
		return appendDecimal(append(b, tagDecimal), v.s)
	case String, Bytes, JSON:
		b = append(b, tagText)
		for i := range len(v.s) {
			if b = append(b, v.s[i]); v.s[i] == 0 {
				b = append(b, 0xff)
			}
		}
		return append(b, 0, 0)
	default:
		return append(b, tagNull)
	}
}

// appendDecimal writes a sign byte (0 negative, 1 zero, 2 positive), the number of digits before the
// point (2 bytes), and all digits without trailing zeros after the point, each plus 1, ended by 0; a
// negative number's bytes after the sign are inverted. 1.50 and 1.5 are equal. The scale is not kept:
// DecodeKey restores it from the column's type.
func appendDecimal(b []byte, text string) []byte {
	neg := strings.HasPrefix(text, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	frac = strings.TrimRight(frac, "0")
	if whole == "" && frac == "" {
		return append(b, 1)
	}
	b = append(b, 2)
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, uint16(len(whole)))
	for _, part := range [2]string{whole, frac} {
		for i := range len(part) {
			b = append(b, part[i]-'0'+1)
		}
	}
	b = append(b, 0)
	if neg {
		b[start-1] = 0
		for i := start; i < len(b); i++ {
			b[i] = ^b[i]
		}
	}
	return b
}

// DecodeKey returns the values of a key whose columns have the given types.
func DecodeKey(k Key, types []Type) (Row, error) {
	row, rest, err := DecodeKeyPrefix(k, types)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("decode key: %d bytes left over after %d columns", len(rest), len(types))
	}
	return row, err
}

// DecodeKeyPrefix decodes len(types) values from the front of a key and returns what follows them.
func DecodeKeyPrefix(k Key, types []Type) (Row, Key, error) {
	row := make(Row, 0, len(types))
	s := string(k)
	for _, t := range types {
		v, rest, err := decodeKeyValue(s, t)
		if err != nil {
			return nil, "", fmt.Errorf("decode key column %d of %d (%s): %w", len(row)+1, len(types), t.Kind, err)
		}
		row, s = append(row, v), rest
	}
	return row, Key(s), nil
}

var errShortKey = errors.New("the key ends too early")

func decodeKeyValue(s string, t Type) (Value, string, error) {
	if s == "" {
		return Value{}, "", errShortKey
	}
	tag, s := s[0], s[1:]
	switch tag {
	case tagNull:
		return Value{}, s, nil
	case tagInt, tagUint, tagFloat:
		if len(s) < 8 {
			return Value{}, "", errShortKey
		}
		return fixedKeyValue(tag, binary.BigEndian.Uint64([]byte(s[:8])), t, s[8:])
	case tagDecimal:
		text, rest, err := decodeDecimal(s, t.Scale)
		if err == nil && t.Kind != Decimal {
			err = fmt.Errorf("holds a decimal")
		}
		return DecimalValue(text), rest, err
	case tagText:
		text, rest, err := decodeText(s)
		if t.Kind != String && t.Kind != Bytes && t.Kind != JSON {
			err = errors.Join(err, fmt.Errorf("holds text"))
		}
		return Value{kind: t.Kind, s: text}, rest, err
	}
	return Value{}, "", fmt.Errorf("unknown tag %#02x", tag)
}

func fixedKeyValue(tag byte, u uint64, t Type, rest string) (Value, string, error) {
	want := tagFloat
	switch t.Kind {
	case Int, Date, Time, Datetime, Timestamp, Year:
		want, u = tagInt, u^(1<<63)
	case Uint:
		want = tagUint
	case Float, Double:
		if u>>63 != 0 {
			u &^= 1 << 63
		} else {
			u = ^u
		}
		if math.IsNaN(math.Float64frombits(u)) {
			return Value{}, "", errors.New("not a number")
		}
	default:
		return Value{}, "", errors.New("holds a number")
	}
	if tag != want {
		return Value{}, "", fmt.Errorf("tag %#02x, want %#02x", tag, want)
	}
	return Value{kind: t.Kind, n: u}, rest, nil
}

func decodeText(s string) (text, rest string, err error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 || i+1 >= len(s) {
			return "", "", errShortKey
		}
		b.WriteString(s[:i])
		end := s[i+1]
		s = s[i+2:]
		switch end {
		case 0:
			return b.String(), s, nil
		case 0xff:
			b.WriteByte(0)
		default:
			return "", "", fmt.Errorf("byte %#02x after 00 in text", end)
		}
	}
}

func decodeDecimal(s string, scale int) (text, rest string, err error) {
	if s == "" {
		return "", "", errShortKey
	}
	sign := s[0]
	if s = s[1:]; sign == 1 {
		text, _ = NormalDecimal("0", scale)
		return text, s, nil
	}
	flip := byte(0)
	if sign == 0 {
		flip = 0xff
	} else if sign != 2 {
		return "", "", fmt.Errorf("decimal sign %#02x", sign)
	}
	if len(s) < 2 {
		return "", "", errShortKey
	}
	whole := int(s[0]^flip)<<8 | int(s[1]^flip)
	var digits []byte
	for i := 2; ; i++ {
		if i >= len(s) {
			return "", "", errShortKey
		}
		d := s[i] ^ flip
		if d == 0 {
			rest = s[i+1:]
			break
		}
		if d > 10 {
			return "", "", fmt.Errorf("decimal digit %#02x", d)
		}
		digits = append(digits, d-1+'0')
	}
	if whole > len(digits) {
		digits = append(digits, strings.Repeat("0", whole-len(digits))...)
	}
	text = string(digits[:whole]) + "." + string(digits[whole:])
	if sign == 0 {
		text = "-" + text
	}
	text, ok := NormalDecimal(text, scale)
	if !ok {
		return "", "", fmt.Errorf("decimal %q does not fit scale %d", text, scale)
	}
	return text, rest, nil
}

// KeyRange is the half-open range [Lo, Hi) of keys. HasLo false begins before every key, HasHi false
// ends after every key: the ranges of a table leave no gap.
type KeyRange struct {
	Lo, Hi       Key
	HasLo, HasHi bool
}

// keyRangeJSON is the durable form: base64 bounds, null for none.
type keyRangeJSON struct {
	Lo *[]byte `json:"lo"`
	Hi *[]byte `json:"hi"`
}

// MarshalJSON writes {"lo": base64 or null, "hi": base64 or null}.
func (r KeyRange) MarshalJSON() ([]byte, error) {
	var j keyRangeJSON
	if r.HasLo {
		b := []byte(r.Lo)
		j.Lo = &b
	}
	if r.HasHi {
		b := []byte(r.Hi)
		j.Hi = &b
	}
	return json.Marshal(j)
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *KeyRange) UnmarshalJSON(b []byte) error {
	var j keyRangeJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("decode key range: %w", err)
	}
	*r = KeyRange{}
	if j.Lo != nil {
		r.Lo, r.HasLo = Key(*j.Lo), true
	}
	if j.Hi != nil {
		r.Hi, r.HasHi = Key(*j.Hi), true
	}
	return nil
}

// WholeTable is the range of all keys.
func WholeTable() KeyRange { return KeyRange{} }

// Contains reports whether the key lies in the range.
func (r KeyRange) Contains(k Key) bool {
	return (!r.HasLo || k >= r.Lo) && (!r.HasHi || k < r.Hi)
}

// IsEmpty reports whether no key can lie in the range.
func (r KeyRange) IsEmpty() bool { return r.HasLo && r.HasHi && r.Lo >= r.Hi }
