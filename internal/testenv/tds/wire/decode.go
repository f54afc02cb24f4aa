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

// Marks of values sent in chunks.
const (
	plpNull    = 0xffffffffffffffff
	plpUnknown = 0xfffffffffffffffe
)

// Value reads a value of a described type, in the form that datatype.Value has.
func (r *Reader) Value(i Info) datatype.Value {
	raw, null := r.raw(i)
	if null || r.err != nil {
		return datatype.Value{Null: true}
	}
	text, err := textOf(i.Type, raw)
	if err != nil {
		r.fail("%v", err)
	}
	return datatype.Of(text)
}

// raw reads the bytes of a value.
func (r *Reader) raw(i Info) (b []byte, null bool) {
	switch {
	case i.id == wireNull:
		return nil, true
	case i.size > 0:
		return r.fixed(i.size), false
	case i.plp():
		return r.chunks()
	case i.Type.IsText() || i.Type.IsBinary():
		n := r.u16()
		if n == 0xffff {
			return nil, true
		}
		return r.bytes(int(n)), false
	}
	n := r.u8()
	if n == 0 {
		return nil, true
	}
	return r.bytes(int(n)), false
}

func (r *Reader) chunks() (b []byte, null bool) {
	total := r.u64()
	if total == plpNull {
		return nil, true
	}
	b = []byte{}
	for r.err == nil {
		n := r.u32()
		if n == 0 {
			break
		}
		if int64(len(b))+int64(n) > largest {
			r.fail("read a value in chunks: it is longer than %d bytes", largest)
			break
		}
		b = append(b, r.bytes(int(n))...)
	}
	if r.err == nil && total != plpUnknown && total != uint64(len(b)) {
		r.fail("read a value in chunks: %d bytes came, %d were announced", len(b), total)
	}
	return b, false
}

// textOf turns the bytes of a value into text.
func textOf(t datatype.Type, b []byte) (string, error) {
	wrong := func() (string, error) {
		return "", fmt.Errorf("read a value of type %s: %d bytes cannot be one", t, len(b))
	}
	switch t.Kind {
	case datatype.Bit, datatype.TinyInt:
		if len(b) != 1 {
			return wrong()
		}
		if t.Kind == datatype.Bit && b[0] != 0 {
			return "1", nil
		}
		return strconv.Itoa(int(b[0])), nil
	case datatype.SmallInt, datatype.Int, datatype.BigInt:
		switch len(b) {
		case 2:
			return strconv.Itoa(int(int16(binary.LittleEndian.Uint16(b)))), nil
		case 4:
			return strconv.Itoa(int(int32(binary.LittleEndian.Uint32(b)))), nil
		case 8:
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)), 10), nil
		}
		return wrong()
	case datatype.Real, datatype.Float:
		return floatText(t, b)
	case datatype.Decimal:
		return decimalText(t, b)
	case datatype.NVarChar, datatype.NChar:
		s, err := fromUTF16(b)
		if err != nil {
			return "", err
		}
		return stored(t, s)
	case datatype.VarChar, datatype.Char:
		if !t.Collation.UTF8() && slices.ContainsFunc(b, func(c byte) bool { return c > 0x7e }) {
			return "", fmt.Errorf("read a value of type %s: the double does not convert code pages; send text beyond ASCII as nvarchar", t)
		}
		return stored(t, string(b))
	case datatype.VarBinary, datatype.Binary:
		return `\x` + hex.EncodeToString(b), nil
	case datatype.UniqueIdentifier:
		if len(b) != 16 {
			return wrong()
		}
		return guidText(b), nil
	}
	return timeText(t, b)
}

func stored(t datatype.Type, s string) (string, error) {
	out, ok := datatype.Store(s)
	if !ok {
		return "", fmt.Errorf("read a value of type %s: it holds text that the double cannot keep (U+FFFF, or no valid encoding)", t)
	}
	return out, nil
}

func floatText(t datatype.Type, b []byte) (string, error) {
	var f float64
	bits := 64
	switch len(b) {
	case 4:
		f, bits = float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32
	case 8:
		f = math.Float64frombits(binary.LittleEndian.Uint64(b))
	default:
		return "", fmt.Errorf("read a value of type %s: %d bytes cannot be one", t, len(b))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", fmt.Errorf("the supplied value is not a valid instance of data type %s", t)
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}

func decimalText(t datatype.Type, b []byte) (string, error) {
	if len(b) < 5 || len(b) > 17 {
		return "", fmt.Errorf("read a value of type %s: %d bytes cannot be one", t, len(b))
	}
	digits := slices.Clone(b[1:])
	slices.Reverse(digits)
	n := new(big.Int).SetBytes(digits)
	s := n.String()
	if len(s) > t.Precision && n.Sign() != 0 {
		return "", fmt.Errorf("the supplied value is not a valid instance of data type %s", t)
	}
	if t.Scale > 0 {
		if len(s) <= t.Scale {
			s = strings.Repeat("0", t.Scale-len(s)+1) + s
		}
		s = s[:len(s)-t.Scale] + "." + s[len(s)-t.Scale:]
	}
	if b[0] == 0 && n.Sign() != 0 {
		s = "-" + s
	}
	return s, nil
}

func guidText(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]),
		binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

// epoch is day 0 of dates on the wire.
var epoch = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)

const lastDay = 3652058 // 9999-12-31

// timeText turns dates and times into ISO text.
func timeText(t datatype.Type, b []byte) (string, error) {
	wrong := func() (string, error) {
		return "", fmt.Errorf("the supplied value is not a valid instance of data type %s", t)
	}
	clockBytes := len(b)
	switch t.Kind {
	case datatype.Date, datatype.DateTime2:
		clockBytes -= 3
	case datatype.DateTimeOffset:
		clockBytes -= 5
	}
	if clockBytes < 0 || clockBytes > 5 || t.Kind == datatype.Date && clockBytes != 0 {
		return wrong()
	}
	var ticks [8]byte
	copy(ticks[:], b[:clockBytes])
	nanos := int64(binary.LittleEndian.Uint64(ticks[:]))
	for range 9 - t.Scale {
		nanos *= 10
	}
	if t.Kind != datatype.Date && (nanos < 0 || nanos >= int64(24*time.Hour)) {
		return wrong()
	}
	at := epoch.Add(time.Duration(nanos))
	if t.Kind != datatype.Time {
		d := b[clockBytes:]
		days := int(d[0]) | int(d[1])<<8 | int(d[2])<<16
		if days > lastDay {
			return wrong()
		}
		at = at.AddDate(0, 0, days)
	}
	layout := map[datatype.Kind]string{
		datatype.Date: "2006-01-02", datatype.Time: "15:04:05.9999999", datatype.DateTime2: "2006-01-02 15:04:05.9999999",
		datatype.DateTimeOffset: "2006-01-02 15:04:05.9999999Z07:00",
	}[t.Kind]
	if t.Kind == datatype.DateTimeOffset {
		offset := int16(binary.LittleEndian.Uint16(b[clockBytes+3:]))
		if offset != 0 {
			return "", fmt.Errorf("read a value of type %s: its offset is %d minutes, and the double keeps offset 0 alone", t, offset)
		}
		layout = "2006-01-02 15:04:05.9999999+00"
	}
	if nanos%1000 != 0 {
		return "", fmt.Errorf("read a value of type %s: it has a seventh fractional digit, and the double keeps microseconds", t)
	}
	return at.Format(layout), nil
}
