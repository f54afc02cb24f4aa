package wire

import (
	"encoding/binary"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
)

// Identifiers of types on the wire.
const (
	wireNull      = 0x1f
	wireGUID      = 0x24
	wireIntN      = 0x26
	wireDate      = 0x28
	wireTime      = 0x29
	wireDateTime2 = 0x2a
	wireOffset    = 0x2b
	wireInt1      = 0x30
	wireBit       = 0x32
	wireInt2      = 0x34
	wireInt4      = 0x38
	wireFloat4    = 0x3b
	wireFloat8    = 0x3e
	wireBitN      = 0x68
	wireDecimal   = 0x6a
	wireNumeric   = 0x6c
	wireFloatN    = 0x6d
	wireInt8      = 0x7f
	wireVarBinary = 0xa5
	wireVarChar   = 0xa7
	wireBinary    = 0xad
	wireChar      = 0xaf
	wireNVarChar  = 0xe7
	wireNChar     = 0xef
)

// Info is a type as a client describes it, with what is needed to read its values.
type Info struct {
	Type datatype.Type
	id   byte
	size int // of fixed types
}

// plp reports values sent in chunks.
func (i Info) plp() bool { return i.Type.Length == datatype.Max }

// appendType describes a type to a client. UTF-8 varchar is sent as nvarchar, as servers do for a client that has
// not said that it knows UTF-8.
func appendType(b []byte, t datatype.Type) []byte {
	t = sent(t)
	switch t.Kind {
	case datatype.Bit:
		return append(b, wireBitN, 1)
	case datatype.TinyInt:
		return append(b, wireIntN, 1)
	case datatype.SmallInt:
		return append(b, wireIntN, 2)
	case datatype.Int:
		return append(b, wireIntN, 4)
	case datatype.BigInt:
		return append(b, wireIntN, 8)
	case datatype.Real:
		return append(b, wireFloatN, 4)
	case datatype.Float:
		return append(b, wireFloatN, 8)
	case datatype.Decimal:
		return append(b, wireDecimal, byte(1+magnitude(t.Precision)), byte(t.Precision), byte(t.Scale))
	case datatype.Date:
		return append(b, wireDate)
	case datatype.Time:
		return append(b, wireTime, byte(t.Scale))
	case datatype.DateTime2:
		return append(b, wireDateTime2, byte(t.Scale))
	case datatype.DateTimeOffset:
		return append(b, wireOffset, byte(t.Scale))
	case datatype.UniqueIdentifier:
		return append(b, wireGUID, 16)
	}
	id := map[datatype.Kind]byte{
		datatype.NVarChar: wireNVarChar, datatype.NChar: wireNChar, datatype.VarChar: wireVarChar,
		datatype.Char: wireChar, datatype.VarBinary: wireVarBinary, datatype.Binary: wireBinary,
	}[t.Kind]
	size := uint16(t.Length)
	if t.Length == datatype.Max {
		size = 0xffff
	} else if t.IsUnicode() {
		size *= 2
	}
	b = append(b, id)
	b = binary.LittleEndian.AppendUint16(b, size)
	if t.IsText() {
		c := t.Collation.Wire()
		b = append(b, c[:]...)
	}
	return b
}

// sent is the type under which a client gets values of t.
func sent(t datatype.Type) datatype.Type {
	switch {
	case t.Kind == datatype.Null:
		return datatype.Simple(datatype.Int) // as SELECT NULL
	case !t.IsText() || t.IsUnicode() || !t.Collation.UTF8():
		return t
	case t.Length > 4000:
		t.Length = datatype.Max
	}
	t.Kind = datatype.NVarChar
	return t
}

// magnitude is how many bytes hold a decimal of so many digits.
func magnitude(precision int) int {
	switch {
	case precision <= 9:
		return 4
	case precision <= 19:
		return 8
	case precision <= 28:
		return 12
	}
	return 16
}

// Type reads the description of a type.
func (r *Reader) Type() Info {
	i := Info{id: r.u8()}
	simple := func(k datatype.Kind, size int) Info {
		i.Type, i.size = datatype.Simple(k), size
		return i
	}
	switch i.id {
	case wireNull:
		return simple(datatype.Null, 0)
	case wireInt1:
		return simple(datatype.TinyInt, 1)
	case wireBit:
		return simple(datatype.Bit, 1)
	case wireInt2:
		return simple(datatype.SmallInt, 2)
	case wireInt4:
		return simple(datatype.Int, 4)
	case wireInt8:
		return simple(datatype.BigInt, 8)
	case wireFloat4:
		return simple(datatype.Real, 4)
	case wireFloat8:
		return simple(datatype.Float, 8)
	case wireDate:
		return simple(datatype.Date, 0)
	}
	return r.sizedType(i)
}

func (r *Reader) sizedType(i Info) Info {
	of := func(size int, kinds map[int]datatype.Kind) {
		k, ok := kinds[size]
		if !ok {
			r.fail("read a type: %#x of size %d is not one that the double implements", i.id, size)
		}
		i.Type = datatype.Simple(k)
	}
	switch i.id {
	case wireGUID:
		of(int(r.u8()), map[int]datatype.Kind{16: datatype.UniqueIdentifier, 0: datatype.UniqueIdentifier})
	case wireIntN:
		of(int(r.u8()), map[int]datatype.Kind{1: datatype.TinyInt, 2: datatype.SmallInt, 4: datatype.Int, 8: datatype.BigInt})
	case wireBitN:
		of(int(r.u8()), map[int]datatype.Kind{1: datatype.Bit})
	case wireFloatN:
		of(int(r.u8()), map[int]datatype.Kind{4: datatype.Real, 8: datatype.Float})
	case wireDecimal, wireNumeric:
		r.u8()
		i.Type = datatype.Type{Kind: datatype.Decimal, Precision: int(r.u8()), Scale: int(r.u8())}
		if p := i.Type; p.Precision < 1 || p.Precision > 38 || p.Scale > p.Precision {
			r.fail("read a type: %s is impossible", p)
		}
	case wireTime, wireDateTime2, wireOffset:
		k := map[byte]datatype.Kind{wireTime: datatype.Time, wireDateTime2: datatype.DateTime2, wireOffset: datatype.DateTimeOffset}[i.id]
		i.Type = datatype.Type{Kind: k, Scale: int(r.u8())}
		if i.Type.Scale > 7 {
			r.fail("read a type: %s is impossible", i.Type)
		}
	case wireVarBinary, wireBinary:
		i.Type = datatype.Type{Kind: datatype.VarBinary, Length: length(r.u16(), 1)}
		if i.id == wireBinary {
			i.Type.Kind = datatype.Binary
		}
	case wireNVarChar, wireNChar, wireVarChar, wireChar:
		k := map[byte]datatype.Kind{
			wireNVarChar: datatype.NVarChar, wireNChar: datatype.NChar, wireVarChar: datatype.VarChar, wireChar: datatype.Char,
		}[i.id]
		i.Type = datatype.Type{Kind: k}
		unit := 1
		if i.Type.IsUnicode() {
			unit = 2
		}
		i.Type.Length = length(r.u16(), unit)
		i.Type.Collation = r.collation()
	default:
		r.fail("read a type: %#x is not one that the double implements", i.id)
	}
	return i
}

func length(size uint16, unit int) int {
	if size == 0xffff {
		return datatype.Max
	}
	return int(size) / unit
}

func (r *Reader) collation() datatype.Collation {
	got := [5]byte(r.fixed(5))
	for _, c := range []datatype.Collation{datatype.DefaultCollation, datatype.BIN2, datatype.BIN2UTF8} {
		if got == c.Wire() {
			return c
		}
	}
	// Clients send text in whatever collation they know; the double compares by its columns' collations.
	return datatype.DefaultCollation
}
