package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// errNoJSON is a value that JSON cannot carry.
var errNoJSON = errors.New("the value cannot be written without loss")

// appendValue appends a value as Debezium 3.x encodes its column type, with the settings that lose
// nothing: decimals as strings, unsigned BIGINT exact, binary as base64.
func appendValue(b []byte, v change.Value, t *change.Type) ([]byte, error) {
	//exhaustive:enforce
	switch v.Kind() {
	case change.Null:
		return append(b, "null"...), nil
	case change.Int, change.Year, change.Date, change.Time:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case change.Uint:
		if t.Name == "bit" {
			return appendBit(b, v.Uint(), t.Length), nil
		}
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case change.Float, change.Double:
		return appendFloat(b, v)
	case change.Decimal:
		b = append(b, '"')
		b = append(b, v.Text()...)
		return append(b, '"'), nil
	case change.String, change.JSON:
		return appendString(b, v.Text())
	case change.Bytes:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(v.Text()))
		return append(b, '"'), nil
	case change.Datetime:
		if t.Scale <= 3 {
			return strconv.AppendInt(b, floorDiv(v.Int(), 1000), 10), nil
		}
		return strconv.AppendInt(b, v.Int(), 10), nil
	case change.Timestamp:
		return appendTimestamp(b, v.Int()), nil
	case change.Absent: // which is left out of a row
	}
	return b, fmt.Errorf("%s: %w", v.Kind(), errNoJSON)
}

func floorDiv(a, n int64) int64 {
	q := a / n
	if a%n < 0 {
		q--
	}
	return q
}

// appendBit writes BIT(1) as a boolean and wider ones as base64 of little-endian bytes.
func appendBit(b []byte, u uint64, bits int) []byte {
	if bits <= 1 {
		return strconv.AppendBool(b, u != 0)
	}
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(u >> (8 * i))
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, raw[:min(8, (bits+7)/8)])
	return append(b, '"')
}

func appendFloat(b []byte, v change.Value) ([]byte, error) {
	f := v.Double()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, fmt.Errorf("%v: %w", f, errNoJSON)
	}
	size := 64
	if v.Kind() == change.Float {
		size = 32
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	n := len(b)
	b = strconv.AppendFloat(b, f, format, -1, size)
	for _, c := range b[n:] {
		if c == '.' || c == 'e' {
			return b, nil
		}
	}
	return append(b, '.', '0'), nil // as Jackson prints it
}

// appendTimestamp writes an instant as ISO 8601 in UTC, its fraction without trailing zeros.
func appendTimestamp(b []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	b = append(b, '"')
	if y := t.Year(); y < 0 || y > 9999 {
		b = t.AppendFormat(b, time.RFC3339Nano)
	} else {
		b = append4(b, y)
		b = append2(append(b, '-'), int(t.Month()))
		b = append2(append(b, '-'), t.Day())
		b = append2(append(b, 'T'), t.Hour())
		b = append2(append(b, ':'), t.Minute())
		b = append2(append(b, ':'), t.Second())
		if us := t.Nanosecond() / 1000; us != 0 {
			b = append(b, '.')
			for div := 100000; us != 0; div /= 10 {
				b = append(b, byte('0'+us/div))
				us %= div
			}
		}
		b = append(b, 'Z')
	}
	return append(b, '"')
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
func append4(b []byte, n int) []byte { return append2(append2(b, n/100), n%100) }

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Text that is not UTF-8 is an error: replacing bytes would lose them.
func appendString(b []byte, s string) ([]byte, error) {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return b, fmt.Errorf("text is not UTF-8 at byte %d: %w", i, errNoJSON)
		}
		i += n
	}
	b = append(b, s[start:]...)
	return append(b, '"'), nil
}
