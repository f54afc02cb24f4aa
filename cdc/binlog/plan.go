package binlog

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/charset"
	"github.com/etlsandbox/cdc/schemas/change"
)

// op is how a column's bytes are read.
type op uint8

const (
	opInt8 op = iota
	opInt16
	opInt24
	opInt32
	opInt64
	opUint8
	opUint16
	opUint24
	opUint32
	opUint64
	opFloat
	opDouble
	opDecimal
	opYear
	opDate
	opTime        // 3 bytes, before 5.6
	opTime2       // 3 bytes and fraction
	opDatetime    // 8 bytes, before 5.6
	opDatetime2   // 5 bytes and fraction
	opTimestamp   // 4 bytes, before 5.6
	opTimestamp2  // 4 bytes and fraction
	opBit         // n bytes, big-endian
	opEnum        // n bytes
	opSet         // n bytes
	opText        // length of n bytes, then text
	opBytes       // length of n bytes, then bytes
	opFixedBytes  // as opBytes; padded with zeros to pad
	opSkipFixed   // n bytes
	opSkipCounted // length of n bytes, then that many
)

// field is the compiled reading of one column of the log's rows.
type field struct {
	op       op
	n        int // bytes of the value, or of its length
	column   int // index in the captured table; -1: passed over
	nullable bool
	scale    int // decimals: digits after the point; temporals: digits of the fraction
	digits   int // decimals: all digits
	pad      int
	decode   charset.Decoder // nil: the bytes are UTF-8
	members  []string
	name     string
}

// plan is a table map compiled against the catalog. A plan without table passes over the rows; it is
// made for tables that are not captured, so that their rows can be counted.
type plan struct {
	id     change.TableID
	raw    []byte // the table map's bytes, to know it again
	fields []field
	table  *change.Table
	zero   cdc.ZeroDates
	// broken says why rows of a captured table cannot be read; the table is to be paused.
	broken error
	// uncountable says that a column has a type of unknown size: even the number of rows is unknown.
	uncountable bool
}

// compile makes the plan for a captured table, or with a nil layout for one that is not.
func compile(m *tableMap, l *cdc.Layout, zero cdc.ZeroDates) *plan {
	p := &plan{id: change.TableID{DB: m.db, Name: m.name}, zero: zero, fields: make([]field, len(m.columns))}
	for i, c := range m.columns {
		op, n, ok := skipping(c.typ, c.meta)
		p.fields[i] = field{op: op, n: n, column: -1, name: c.name}
		p.uncountable = p.uncountable || !ok || l == nil && oldTemporal(c.typ)
	}
	if l == nil {
		return p
	}
	p.table = l.Table
	at, err := match(m, l)
	if err != nil {
		p.broken = err
		return p
	}
	for column, i := range at {
		f, err := compileColumn(m.columns[i], m.signs, &l.Table.Columns[column])
		if err != nil {
			p.broken = fmt.Errorf("column %s.%s: %w", l.Table.ID, l.Table.Columns[column].Name, err)
			return p
		}
		f.column = column
		p.fields[i] = f
	}
	if err := oldFractions(m, l); err != nil {
		p.broken = err
	}
	if p.uncountable {
		p.broken = fmt.Errorf("table %s: a column left out has a type that this build does not know", l.Table.ID)
	}
	return p
}

// oldTemporal reports whether a type is a temporal one of the layout before 5.6. MariaDB stores fractions
// with it, whose size the table map does not tell.
func oldTemporal(typ byte) bool {
	return typ == typeTime || typ == typeDatetime || typ == typeTimestamp
}

// oldFractions refuses tables with fractions of a second in the old layout, captured or not: what lies
// behind them in a row could not be found.
func oldFractions(m *tableMap, l *cdc.Layout) error {
	for i, c := range m.columns {
		if !oldTemporal(c.typ) {
			continue
		}
		at := i
		if c.name != "" {
			at = fieldIndex(l.Fields, c.name)
		}
		if at >= 0 && at < len(l.Fields) && l.Fields[at].Fraction != 0 {
			return fmt.Errorf("column %s.%s is stored in MariaDB's old format for fractions of a second, whose size the log does not tell: rebuild the table under mysql56_temporal_format=ON with  ALTER TABLE … FORCE: %w",
				l.Table.ID, l.Fields[at].Name, cdc.ErrUnsupported)
		}
	}
	return nil
}

// match finds for each captured column its place in the log's rows: by name if the log has names, else
// by its place in the catalog.
func match(m *tableMap, l *cdc.Layout) ([]int, error) {
	at := make([]int, len(l.Table.Columns))
	if len(m.columns) > 0 && m.columns[0].name != "" {
		byName := make(map[string]int, len(m.columns))
		for i, c := range m.columns {
			byName[strings.ToLower(c.name)] = i
		}
		for column, c := range l.Table.Columns {
			i, ok := byName[strings.ToLower(c.Name)]
			if !ok {
				return nil, fmt.Errorf("%w: rows of %s have no column %s", errLayout, l.Table.ID, c.Name)
			}
			at[column] = i
		}
		for _, f := range l.Fields {
			delete(byName, strings.ToLower(f.Name))
		}
		for _, i := range byName {
			if name := m.columns[i].name; !hidden(name) {
				return nil, fmt.Errorf("%w: rows of %s have a column %s that the catalog did not show", errLayout, l.Table.ID, name)
			}
		}
		return at, nil
	}
	if len(m.columns) != len(l.Fields) {
		return nil, fmt.Errorf("%w: rows of %s have %d columns, the catalog shows %d (binlog_row_metadata=FULL, where the server has it, tells columns apart by name)",
			errLayout, l.Table.ID, len(m.columns), len(l.Fields))
	}
	for i, f := range l.Fields {
		if f.Column >= 0 {
			at[f.Column] = i
		}
	}
	return at, nil
}

// hidden reports whether a column of the log is one that the catalog never shows: the server's own for
// a functional index or a hash of a long unique key.
func hidden(name string) bool {
	return strings.HasPrefix(name, "!hidden!") || strings.HasPrefix(name, "DB_ROW_HASH_")
}

// skipping returns how to pass over a column.
func skipping(typ byte, meta uint16) (o op, n int, ok bool) {
	switch typ {
	case typeNull:
		return opSkipFixed, 0, true
	case typeTiny, typeYear:
		return opSkipFixed, 1, true
	case typeShort:
		return opSkipFixed, 2, true
	case typeInt24, typeDate, typeNewDate, typeTime:
		return opSkipFixed, 3, true
	case typeLong, typeFloat, typeTimestamp:
		return opSkipFixed, 4, true
	case typeLongLong, typeDouble, typeDatetime:
		return opSkipFixed, 8, true
	case typeTimestamp2:
		return opSkipFixed, 4 + fractionBytes(int(meta)), true
	case typeDatetime2:
		return opSkipFixed, 5 + fractionBytes(int(meta)), true
	case typeTime2:
		return opSkipFixed, 3 + fractionBytes(int(meta)), true
	case typeBit:
		return opSkipFixed, bitBytes(meta), true
	case typeDecimal:
		return opSkipFixed, decimalBytes(int(meta>>8), int(meta&0xff)), int(meta>>8) >= int(meta&0xff)
	case typeVarchar, typeVarString, typeCharPacked:
		return opSkipCounted, lengthBytes(int(meta)), true
	case typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob, typeGeometry, typeJSON, typeVector, typeBlobPacked:
		return opSkipCounted, int(meta), meta >= 1 && meta <= 4
	case typeEnum, typeSet:
		return opSkipFixed, int(meta >> 8), meta>>8 <= 8
	case typeString:
		real, size := stringMeta(meta)
		if real == typeEnum || real == typeSet {
			return opSkipFixed, size, size <= 8
		}
		return opSkipCounted, lengthBytes(size), true
	}
	return opSkipFixed, 0, false
}

// stringMeta takes the metadata of a STRING column apart: the real type, and its length in bytes. The
// upper two bits of lengths above 255 are hidden, inverted, in the type.
func stringMeta(meta uint16) (real byte, size int) {
	hi, lo := byte(meta>>8), int(meta&0xff)
	if hi&0x30 != 0x30 {
		return hi | 0x30, lo | int(hi&0x30^0x30)<<4
	}
	return hi, lo
}

func lengthBytes(size int) int {
	if size > 255 {
		return 2
	}
	return 1
}

func bitBytes(meta uint16) int { return int(meta>>8) + (int(meta&0xff)+7)/8 }

func fractionBytes(digits int) int { return (digits + 1) / 2 }

// compileColumn returns how to read a captured column, or says how the log and the catalog disagree.
func compileColumn(m mapped, signs bool, c *change.Column) (field, error) {
	o, n, ok := skipping(m.typ, m.meta)
	f := field{op: o, n: n, nullable: c.Nullable, name: c.Name, scale: c.Type.Scale}
	if !ok {
		return f, fmt.Errorf("%w: type %d in the log, %s in the catalog", errLayout, m.typ, c.Type.Name)
	}
	if signs && numeric(m.typ) && m.typ != typeYear && m.unsigned != c.Type.Unsigned { // servers call every YEAR unsigned
		return f, fmt.Errorf("%w: the log's unsigned flag is %t, the catalog's %t", errLayout, m.unsigned, c.Type.Unsigned)
	}
	compiled := false
	//exhaustive:enforce
	switch c.Type.Kind {
	case change.Int, change.Uint:
		compiled = f.integer(m, c)
	case change.Float:
		f.op, compiled = opFloat, m.typ == typeFloat
	case change.Double:
		f.op, compiled = opDouble, m.typ == typeDouble
	case change.Decimal:
		f.op, f.digits = opDecimal, int(m.meta>>8)
		compiled = m.typ == typeDecimal && f.scale == int(m.meta&0xff) && f.digits == c.Type.Precision
	case change.Year:
		f.op, compiled = opYear, m.typ == typeYear
	case change.Date:
		f.op, compiled = opDate, m.typ == typeDate || m.typ == typeNewDate
	case change.Time, change.Datetime, change.Timestamp:
		compiled = f.temporal(m, c)
	case change.String, change.Bytes:
		var err error
		if compiled, err = f.text(m, c); err != nil {
			return f, err
		}
	case change.Null, change.Absent, change.JSON: // of no column of this source
	}
	if !compiled {
		return f, fmt.Errorf("%w: type %d (%#04x) in the log, %s in the catalog", errLayout, m.typ, m.meta, c.Type.Name)
	}
	return f, nil
}

func (f *field) integer(m mapped, c *change.Column) bool {
	unsigned := op(0)
	if c.Type.Kind == change.Uint {
		unsigned = opUint8 - opInt8
	}
	switch m.typ {
	case typeTiny:
		f.op = opInt8 + unsigned
	case typeShort:
		f.op = opInt16 + unsigned
	case typeInt24:
		f.op = opInt24 + unsigned
	case typeLong:
		f.op = opInt32 + unsigned
	case typeLongLong:
		f.op = opInt64 + unsigned
	case typeBit:
		f.op = opBit
		return c.Type.Name == "bit" && f.n >= 1 && f.n <= 8
	default:
		return false
	}
	return c.Type.Name != "bit"
}

func (f *field) temporal(m mapped, c *change.Column) bool {
	modern := map[change.Kind]byte{change.Time: typeTime2, change.Datetime: typeDatetime2, change.Timestamp: typeTimestamp2}
	old := map[change.Kind]byte{change.Time: typeTime, change.Datetime: typeDatetime, change.Timestamp: typeTimestamp}
	ops := map[change.Kind][2]op{
		change.Time: {opTime2, opTime}, change.Datetime: {opDatetime2, opDatetime}, change.Timestamp: {opTimestamp2, opTimestamp},
	}[c.Type.Kind]
	switch m.typ {
	case modern[c.Type.Kind]:
		f.op = ops[0]
		return f.scale == int(m.meta) && f.scale <= 6
	case old[c.Type.Kind]:
		f.op = ops[1]
		return true
	}
	return false
}

func (f *field) text(m mapped, c *change.Column) (bool, error) {
	typ := m.typ
	if typ == typeString {
		typ, _ = stringMeta(m.meta)
	}
	switch name := c.Type.Name; {
	case name == "enum" || name == "set":
		f.members = c.Type.Members
		if f.op = opEnum; name == "set" {
			f.op = opSet
		}
		return typ == typeEnum && name == "enum" && f.n >= 1 && f.n <= 2 || typ == typeSet && name == "set" && f.n >= 1 && f.n <= 8, nil
	case f.op != opSkipCounted || typ == typeGeometry || typ == typeJSON || typ == typeVector || typ == typeBlobPacked || typ == typeCharPacked:
		return false, nil
	case c.Type.Kind == change.Bytes:
		f.op = opBytes
		if name == "binary" {
			f.op, f.pad = opFixedBytes, c.Type.Length
		}
		return true, nil
	}
	f.op = opText
	var ok bool
	if charset.IsUTF8(c.Type.Charset) {
		return true, nil
	}
	if f.decode, ok = charset.Of(c.Type.Charset); !ok {
		return false, fmt.Errorf("has character set %s, which is not supported; leave the column out with source.columns.exclude, or convert it to utf8mb4: %w",
			c.Type.Charset, cdc.ErrUnsupported)
	}
	return true, nil
}
