package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/cdc"
)

// Column types of the log (enum_field_types of the server).
const (
	typeTiny        = 1
	typeShort       = 2
	typeLong        = 3
	typeFloat       = 4
	typeDouble      = 5
	typeNull        = 6
	typeTimestamp   = 7 // layout before 5.6
	typeLongLong    = 8
	typeInt24       = 9
	typeDate        = 10
	typeTime        = 11 // layout before 5.6
	typeDatetime    = 12 // layout before 5.6
	typeYear        = 13
	typeNewDate     = 14
	typeVarchar     = 15
	typeBit         = 16
	typeTimestamp2  = 17
	typeDatetime2   = 18
	typeTime2       = 19
	typeBlobPacked  = 140 // MariaDB, COMPRESSED
	typeCharPacked  = 141 // MariaDB, COMPRESSED
	typeVector      = 242
	typeJSON        = 245
	typeDecimal     = 246
	typeEnum        = 247
	typeSet         = 248
	typeTinyBlob    = 249
	typeMediumBlob  = 250
	typeLongBlob    = 251
	typeBlob        = 252
	typeVarString   = 253
	typeString      = 254
	typeGeometry    = 255
	maxTableColumns = 4096
)

// Kinds of a table map's optional metadata.
const (
	metaSignedness  = 1
	metaColumnNames = 4
)

// mapped is a column as a table map event describes it.
type mapped struct {
	typ      byte
	meta     uint16
	name     string // "" when the server does not send names
	unsigned bool   // meaningful when the map has signedness
}

// tableMap is a decoded table map event.
type tableMap struct {
	id      uint64
	db      string
	name    string
	columns []mapped
	// signs says that the columns' unsigned flags are known.
	signs bool
}

var errShort = fmt.Errorf("an event ends too early: %w", cdc.ErrCorrupt)

// cursor takes a byte slice apart; after a read beyond the end, bad stays true.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) byte() byte {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if p := c.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if p := c.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if p := c.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// uint48 reads a table id.
func (c *cursor) uint48() uint64 {
	if p := c.take(6); p != nil {
		return uint64(binary.LittleEndian.Uint32(p)) | uint64(binary.LittleEndian.Uint16(p[4:]))<<32
	}
	return 0
}

// packed reads a length-encoded integer.
func (c *cursor) packed() int {
	switch first := c.byte(); first {
	case 252:
		return int(c.uint16())
	case 253:
		if p := c.take(3); p != nil {
			return int(p[0]) | int(p[1])<<8 | int(p[2])<<16
		}
		return 0
	case 254:
		n := c.uint64()
		if n > 1<<31 {
			c.bad = true
			return 0
		}
		return int(n)
	case 251, 255:
		c.bad = true
		return 0
	default:
		return int(first)
	}
}

// tableID reads the id that begins a table map and a rows event, without taking it.
func tableID(body []byte) (uint64, error) {
	c := cursor{b: body}
	id := c.uint48()
	if c.bad {
		return 0, errShort
	}
	return id, nil
}

func parseTableMap(body []byte) (*tableMap, error) {
	c := cursor{b: body}
	t := &tableMap{id: c.uint48()}
	c.uint16() // flags
	t.db = string(c.take(int(c.byte())))
	c.byte()
	t.name = string(c.take(int(c.byte())))
	c.byte()
	n := c.packed()
	if c.bad || n > maxTableColumns {
		return nil, errShort
	}
	types := c.take(n)
	meta := cursor{b: c.take(c.packed())}
	c.take((n + 7) / 8) // which columns are nullable: the catalog knows
	if c.bad {
		return nil, errShort
	}
	t.columns = make([]mapped, n)
	for i, typ := range types {
		t.columns[i] = mapped{typ: typ, meta: columnMeta(typ, &meta)}
	}
	if meta.bad {
		return nil, errShort
	}
	return t, t.optional(&c)
}

// columnMeta reads the metadata of one column; its size depends on the type.
func columnMeta(typ byte, c *cursor) uint16 {
	switch typ {
	case typeString, typeDecimal: // two bytes in the order of the log
		hi := c.byte()
		return uint16(hi)<<8 | uint16(c.byte())
	case typeVarchar, typeVarString, typeBit, typeCharPacked, typeEnum, typeSet:
		return c.uint16()
	case typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeBlobPacked, typeGeometry, typeJSON, typeVector,
		typeDouble, typeFloat, typeTimestamp2, typeDatetime2, typeTime2:
		return uint16(c.byte())
	}
	return 0
}

func (t *tableMap) optional(c *cursor) error {
	for len(c.b) > 0 {
		kind := c.byte()
		field := cursor{b: c.take(c.packed())}
		if c.bad {
			return errShort
		}
		switch kind {
		case metaSignedness:
			t.signs = true
			bit := 0
			for i := range t.columns {
				if !numeric(t.columns[i].typ) {
					continue
				}
				if bit/8 >= len(field.b) {
					return errShort
				}
				t.columns[i].unsigned = field.b[bit/8]&(0x80>>(bit%8)) != 0
				bit++
			}
		case metaColumnNames:
			for i := range t.columns {
				t.columns[i].name = string(field.take(field.packed()))
			}
			if field.bad {
				return errShort
			}
		}
	}
	return nil
}

// numeric reports whether the signedness metadata has a bit for columns of the type.
func numeric(typ byte) bool {
	switch typ {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong, typeFloat, typeDouble, typeDecimal, typeYear:
		return true
	}
	return false
}

var errLayout = errors.New("the log and the catalog disagree")
