package binlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// pending is a text of the row being decoded: it lies in the decoder's scratch until the row is whole.
type pending struct {
	column, from, to int
	kind             change.Kind
}

// decoder turns row images into rows. It keeps scratch space between rows, so that a row costs two
// allocations: its values, and one string that all its texts are parts of.
type decoder struct {
	scratch []byte
	texts   []pending
	slab    []change.Value // room for the next rows of the event
}

// slabRows rows share an allocation: whoever keeps one row keeps the memory of so many.
const slabRows = 8

// row decodes one image from the front of b. present and nulls are the image's bitmaps, present nil
// when all columns are in it. It returns the row (nil when the plan has no table) and the bytes used.
func (d *decoder) row(p *plan, b, nulls []byte) (change.Row, int, error) {
	var row change.Row
	if p.table != nil {
		n := len(p.table.Columns)
		if len(d.slab) < n {
			d.slab = make([]change.Value, slabRows*n)
		}
		row, d.slab = change.Row(d.slab[:n:n]), d.slab[n:]
		d.scratch, d.texts = d.scratch[:0], d.texts[:0]
	}
	pos := 0
	for i := range p.fields {
		if nulls[i>>3]&(1<<(i&7)) != 0 {
			continue // NULL is the zero Value
		}
		f := &p.fields[i]
		size, err := f.size(b[pos:])
		if err != nil {
			return nil, 0, err
		}
		if f.column >= 0 {
			if row[f.column], err = d.value(p, f, b[pos:pos+size]); err != nil {
				return nil, 0, err
			}
		}
		pos += size
	}
	if len(d.texts) > 0 && row != nil {
		all := string(d.scratch)
		for _, t := range d.texts {
			row[t.column] = textValue(t.kind, all[t.from:t.to])
		}
	}
	return row, pos, nil
}

func textValue(k change.Kind, s string) change.Value {
	switch k {
	case change.Decimal:
		return change.DecimalValue(s)
	case change.Bytes:
		return change.BytesString(s)
	}
	return change.StringValue(s)
}

// size returns the bytes that the field's value occupies at the front of b, its length included.
func (f *field) size(b []byte) (int, error) {
	n := f.n
	switch f.op {
	case opText, opBytes, opFixedBytes, opSkipCounted:
		if len(b) < f.n {
			return 0, errShort
		}
		switch f.n {
		case 1:
			n += int(b[0])
		case 2:
			n += int(binary.LittleEndian.Uint16(b))
		case 3:
			n += int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		default:
			n += int(binary.LittleEndian.Uint32(b))
		}
	}
	if n > len(b) {
		return 0, errShort
	}
	return n, nil
}

// value decodes one value; b is exactly its bytes.
func (d *decoder) value(p *plan, f *field, b []byte) (change.Value, error) {
	switch f.op {
	case opInt8:
		return change.IntValue(int64(int8(b[0]))), nil
	case opInt16:
		return change.IntValue(int64(int16(binary.LittleEndian.Uint16(b)))), nil
	case opInt24:
		return change.IntValue(int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)), nil
	case opInt32:
		return change.IntValue(int64(int32(binary.LittleEndian.Uint32(b)))), nil
	case opInt64:
		return change.IntValue(int64(binary.LittleEndian.Uint64(b))), nil
	case opUint8:
		return change.UintValue(uint64(b[0])), nil
	case opUint16:
		return change.UintValue(uint64(binary.LittleEndian.Uint16(b))), nil
	case opUint24:
		return change.UintValue(uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16), nil
	case opUint32:
		return change.UintValue(uint64(binary.LittleEndian.Uint32(b))), nil
	case opUint64:
		return change.UintValue(binary.LittleEndian.Uint64(b)), nil
	case opFloat, opDouble:
		return d.float(p, f, b)
	case opYear:
		if b[0] == 0 {
			return change.YearValue(0), nil
		}
		return change.YearValue(1900 + int64(b[0])), nil
	case opBit:
		var v uint64
		for _, c := range b {
			v = v<<8 | uint64(c)
		}
		return change.UintValue(v), nil
	case opDate, opTime, opTime2, opDatetime, opDatetime2, opTimestamp, opTimestamp2:
		return d.temporal(p, f, b)
	default:
		return d.text(p, f, b)
	}
}

func (d *decoder) float(p *plan, f *field, b []byte) (change.Value, error) {
	if f.op == opDouble {
		v := math.Float64frombits(binary.LittleEndian.Uint64(b))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return change.Value{}, p.bad(f, b, errors.New("is not a number"))
		}
		return change.DoubleValue(v), nil
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(b))
	if v != v || math.IsInf(float64(v), 0) {
		return change.Value{}, p.bad(f, b, errors.New("is not a number"))
	}
	if v == 0 {
		v = 0 // SQL cannot tell negative zero
	}
	return change.FloatValue(v), nil
}

// text decodes the kinds whose value is a string: it goes into the scratch and is set with the row.
func (d *decoder) text(p *plan, f *field, b []byte) (change.Value, error) {
	from := len(d.scratch)
	kind := change.String
	var err error
	switch f.op {
	case opText:
		b = b[f.n:]
		if f.decode != nil {
			d.scratch, err = f.decode(d.scratch, b)
		} else if utf8.Valid(b) {
			d.scratch = append(d.scratch, b...)
		} else {
			err = errors.New("is not valid UTF-8")
		}
	case opBytes:
		kind = change.Bytes
		d.scratch = append(d.scratch, b[f.n:]...)
	case opFixedBytes:
		kind = change.Bytes
		d.scratch = append(d.scratch, b[f.n:]...)
		for i := len(b) - f.n; i < f.pad; i++ {
			d.scratch = append(d.scratch, 0)
		}
	case opDecimal:
		kind = change.Decimal
		d.scratch, err = appendDecimal(d.scratch, b, f.digits, f.scale)
	case opEnum:
		i := littleEndian(b)
		switch {
		case i == 0: // the value that the server stores for an invalid one
			return change.StringValue(""), nil
		case i > uint64(len(f.members)):
			err = fmt.Errorf("is member %d of %d", i, len(f.members))
		default:
			return change.StringValue(f.members[i-1]), nil
		}
	case opSet:
		d.scratch, err = f.appendSet(d.scratch, littleEndian(b))
	default:
		err = fmt.Errorf("has no reading: %w", cdc.ErrCorrupt)
	}
	if err != nil {
		return change.Value{}, p.bad(f, b, err)
	}
	d.texts = append(d.texts, pending{column: f.column, from: from, to: len(d.scratch), kind: kind})
	return change.Value{}, nil
}

func littleEndian(b []byte) (v uint64) {
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func (f *field) appendSet(b []byte, bits uint64) ([]byte, error) {
	if bits>>len(f.members) != 0 && len(f.members) < 64 {
		return b, fmt.Errorf("has bits %#x, the set has %d members", bits, len(f.members))
	}
	first := true
	for i, name := range f.members {
		if bits&(1<<i) == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		b = append(b, name...)
		first = false
	}
	return b, nil
}

// bad wraps what is wrong with a value.
func (p *plan) bad(f *field, b []byte, err error) error {
	const limit = 32
	text := "0x" + strings.ToUpper(hex.EncodeToString(b[:min(len(b), limit)]))
	if len(b) > limit {
		text += fmt.Sprintf("… (%d bytes)", len(b))
	}
	return &cdc.ValueError{Table: p.id, Column: f.name, Value: text, Reason: err.Error()}
}
