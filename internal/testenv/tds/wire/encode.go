package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// appendValue encodes a value of type t as a row holds it.
func appendValue(b []byte, t datatype.Type, v datatype.Value) ([]byte, error) {
	t = sent(t)
	if v.Null {
		return appendNull(b, t), nil
	}
	raw, err := bytesOf(t, v.Text)
	if err != nil {
		return b, fmt.Errorf("encode a value of type %s: %w", t, err)
	}
	switch {
	case t.Length == datatype.Max:
		b = binary.LittleEndian.AppendUint64(b, uint64(len(raw)))
		if len(raw) > 0 {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(raw)))
			b = append(b, raw...)
		}
		return binary.LittleEndian.AppendUint32(b, 0), nil
	case t.IsText() || t.IsBinary():
		limit := t.Length
		if t.IsUnicode() {
			limit *= 2
		}
		if len(raw) > limit {
			return b, fmt.Errorf("encode a value of type %s: it has %d bytes", t, len(raw))
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(len(raw)))
	default:
		b = append(b, byte(len(raw)))
	}
	return append(b, raw...), nil
}

func appendNull(b []byte, t datatype.Type) []byte {
	switch {
	case t.Length == datatype.Max:
		return binary.LittleEndian.AppendUint64(b, plpNull)
	case t.IsText() || t.IsBinary():
		return append(b, 0xff, 0xff)
	}
	return append(b, 0)
}

// bytesOf turns PostgreSQL's text of a value into the bytes that TDS sends.
func bytesOf(t datatype.Type, text string) ([]byte, error) {
	switch t.Kind {
	case datatype.Bit, datatype.TinyInt, datatype.SmallInt, datatype.Int, datatype.BigInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		size := map[datatype.Kind]int{
			datatype.Bit: 1, datatype.TinyInt: 1, datatype.SmallInt: 2, datatype.Int: 4, datatype.BigInt: 8,
		}[t.Kind]
		return binary.LittleEndian.AppendUint64(nil, uint64(n))[:size], nil
	case datatype.Real, datatype.Float:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		if t.Kind == datatype.Real {
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))), nil
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), nil
	case datatype.Decimal:
		return decimalBytes(t, text)
	case datatype.NVarChar, datatype.NChar:
		return UTF16(datatype.Load(text)), nil
	case datatype.VarChar, datatype.Char:
		return []byte(datatype.Load(text)), nil
	case datatype.VarBinary, datatype.Binary:
		return hex.DecodeString(strings.TrimPrefix(text, `\x`))
	case datatype.UniqueIdentifier:
		return guidBytes(text)
	}
	return timeBytes(t, text)
}

func decimalBytes(t datatype.Type, text string) ([]byte, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if len(fraction) > t.Scale {
		return nil, fmt.Errorf("%q has more than %d fractional digits", text, t.Scale)
	}
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", t.Scale-len(fraction)), 10)
	if !ok {
		return nil, fmt.Errorf("%q is no decimal", text)
	}
	size := magnitude(t.Precision)
	if n.BitLen() > 8*size {
		return nil, fmt.Errorf("%q has more than %d digits", text, t.Precision)
	}
	out := n.FillBytes(make([]byte, size))
	slices.Reverse(out)
	sign := byte(1)
	if negative && n.Sign() != 0 {
		sign = 0
	}
	return append([]byte{sign}, out...), nil
}

func guidBytes(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		return nil, fmt.Errorf("%q is no uniqueidentifier", text)
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b, nil
}

// timeBytes turns PostgreSQL's ISO text into days and fractions of a day.
func timeBytes(t datatype.Type, text string) ([]byte, error) {
	layout := map[datatype.Kind]string{
		datatype.Date: "2006-01-02", datatype.Time: "15:04:05", datatype.DateTime2: "2006-01-02 15:04:05",
		datatype.DateTimeOffset: "2006-01-02 15:04:05-07",
	}[t.Kind]
	if layout == "" {
		return nil, fmt.Errorf("the type is not one that the double implements")
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		return nil, err
	}
	at = at.UTC()
	var out []byte
	if t.Kind != datatype.Date {
		sinceMidnight := at.Sub(at.Truncate(24 * time.Hour))
		ticks := uint64(sinceMidnight)
		for range 9 - t.Scale {
			ticks /= 10
		}
		size := 5
		if t.Scale <= 2 {
			size = 3
		} else if t.Scale <= 4 {
			size = 4
		}
		out = binary.LittleEndian.AppendUint64(nil, ticks)[:size]
	}
	if t.Kind != datatype.Time {
		days := at.Truncate(24*time.Hour).Unix()/86400 - epoch.Unix()/86400
		if days < 0 || days > lastDay {
			return nil, fmt.Errorf("%q is not between 0001-01-01 and 9999-12-31", text)
		}
		out = append(out, byte(days), byte(days>>8), byte(days>>16))
	}
	if t.Kind == datatype.DateTimeOffset {
		out = append(out, 0, 0)
	}
	return out, nil
}
