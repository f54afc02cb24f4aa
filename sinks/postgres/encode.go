package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// PostgreSQL counts from 2000-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

var copyHeader = append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)

var copyTrailer = []byte{0xff, 0xff}

// errRefused marks a value that cannot be stored whatever the statement: its row is poison.
var errRefused = errors.New("the destination cannot hold the value")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errRefused, fmt.Sprintf(format, args...))
}

// appendField appends one field of a binary COPY row: a length and the value. After an error b is as it
// was.
func appendField(b []byte, f form, t change.Type, v change.Value) ([]byte, error) {
	if v.IsNull() {
		return appendInt32(b, -1), nil
	}
	if v.IsAbsent() {
		return b, refuse("it was not transmitted (left out of a partial row image, or larger than the broker takes)")
	}
	if v.Kind() != t.Kind {
		return b, refuse("a value of kind %s in a column of kind %s", v.Kind(), t.Kind)
	}
	start := len(b)
	b = appendInt32(b, 0)
	b, err := appendValue(b, f, t, v)
	if err != nil {
		return b[:start], err
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}

func appendValue(b []byte, f form, t change.Type, v change.Value) ([]byte, error) {
	switch f {
	case formInt2, formInt4, formInt8:
		return appendInt(b, f, v)
	case formNumeric:
		return appendNumeric(b, v.String()), nil
	case formFloat4:
		return appendInt32(b, int32(math.Float32bits(float32(v.Double())))), nil
	case formFloat8:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Double())), nil
	case formText, formJSON:
		s := v.Text()
		if strings.IndexByte(s, 0) >= 0 {
			return b, refuse("text with a NUL byte")
		}
		if !utf8.ValidString(s) {
			return b, refuse("text that is not UTF-8")
		}
		return append(b, s...), nil
	case formBytea:
		return append(b, v.Text()...), nil
	case formDate:
		return appendInt32(b, int32(v.Int()-epochDays)), nil
	case formInterval:
		b = binary.BigEndian.AppendUint64(b, uint64(v.Int()))
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0), nil
	case formTimestamp, formTimestamptz:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int()-epochMicros)), nil
	case formBits:
		if t.Length < 64 && v.Uint()>>t.Length != 0 {
			return b, refuse("%d in %d bits", v.Uint(), t.Length)
		}
		b = appendInt32(b, int32(t.Length))
		left := v.Uint() << (64 - t.Length)
		for n := 0; n < t.Length; n += 8 {
			b = append(b, byte(left>>(56-n)))
		}
		return b, nil
	}
	return b, refuse("form %d is unknown", f)
}

func appendInt(b []byte, f form, v change.Value) ([]byte, error) {
	n := v.Int()
	if v.Kind() == change.Uint && n < 0 {
		return b, refuse("%d is out of range", v.Uint())
	}
	switch f {
	case formInt2:
		if n != int64(int16(n)) {
			return b, refuse("%d is out of range", n)
		}
		return binary.BigEndian.AppendUint16(b, uint16(n)), nil
	case formInt4:
		if n != int64(int32(n)) {
			return b, refuse("%d is out of range", n)
		}
		return appendInt32(b, int32(n)), nil
	}
	return binary.BigEndian.AppendUint64(b, uint64(n)), nil
}

func appendInt32(b []byte, n int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

// appendNumeric writes canonical decimal text as PostgreSQL's numeric: groups of four digits aligned at
// the point, without leading and trailing zero groups.
func appendNumeric(b []byte, text string) []byte {
	sign := uint16(0)
	if strings.HasPrefix(text, "-") {
		sign, text = 0x4000, text[1:]
	}
	whole, frac, _ := strings.Cut(text, ".")
	head := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	weight, groups, zeros := 0, 0, 0
	put := func(g uint16, place int) {
		if g == 0 && groups == 0 {
			return // leading
		}
		if groups == 0 {
			weight = place
		}
		if g == 0 {
			zeros++ // trailing, unless something follows
			return
		}
		for ; zeros > 0; zeros-- {
			b = append(b, 0, 0)
			groups++
		}
		b = binary.BigEndian.AppendUint16(b, g)
		groups++
	}
	place := (len(whole) - 1) / 4
	for i := 0; i < len(whole); place-- {
		n := (len(whole)-i-1)%4 + 1
		put(digits(whole[i:i+n]), place)
		i += n
	}
	place = -1
	for i := 0; i < len(frac); i, place = i+4, place-1 {
		part := frac[i:min(i+4, len(frac))]
		g := digits(part)
		for range 4 - len(part) {
			g *= 10
		}
		put(g, place)
	}
	if groups == 0 {
		sign = 0
	}
	binary.BigEndian.PutUint16(b[head:], uint16(groups))
	binary.BigEndian.PutUint16(b[head+2:], uint16(weight))
	binary.BigEndian.PutUint16(b[head+4:], sign)
	binary.BigEndian.PutUint16(b[head+6:], uint16(len(frac)))
	return b
}

func digits(s string) uint16 {
	n := uint16(0)
	for i := range len(s) {
		n = n*10 + uint16(s[i]-'0')
	}
	return n
}
