package binlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// recorded is a connection that plays bytes, a few at a time.
type recorded struct {
	net.Conn
	r    io.Reader
	step int
}

func (c recorded) Read(b []byte) (int, error) {
	if c.step > 0 && len(b) > c.step {
		b = b[:c.step]
	}
	return c.r.Read(b)
}
func (recorded) SetReadDeadline(time.Time) error { return nil }
func (recorded) Close() error                    { return nil }

// play makes a reader of a server's answer.
func play(wire []byte, step int, from change.Position) *Reader {
	return &Reader{
		src: &cdc.Source{}, in: newPackets(recorded{r: bytes.NewReader(wire), step: step}, time.Second), crc: true,
		layouts: map[change.TableID]*cdc.Layout{}, paused: map[change.TableID]bool{}, plans: map[uint64]*plan{},
		filtered: map[change.TableID]uint64{}, stale: true, file: from.File, off: from.Offset, skip: from.Offset,
	}
}

// logWriter writes packets of log events.
type logWriter struct {
	bytes.Buffer
	off uint64
}

func (w *logWriter) event(typ byte, flags uint16, next uint32, body []byte) {
	h := header{when: 1770000000, typ: typ, server: 7, size: uint32(headerSize + len(body) + crcSize), next: next, flags: flags}
	e := append(encodeHeader(h), body...)
	e = binary.LittleEndian.AppendUint32(e, crc32.ChecksumIEEE(e))
	w.packet(append([]byte{0}, e...))
}

func (w *logWriter) packet(p []byte) {
	for {
		n := min(len(p), packetLimit)
		w.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0})
		w.Write(p[:n])
		p = p[n:]
		if n < packetLimit {
			return
		}
	}
}

// add writes an event that is in the log at the writer's offset.
func (w *logWriter) add(typ byte, body []byte) {
	w.off += uint64(headerSize + len(body) + crcSize)
	w.event(typ, 0, uint32(w.off), body)
}

func (w *logWriter) begin(file string, off uint64) {
	w.off = off
	w.event(evRotate, flagArtificial, 0, append(binary.LittleEndian.AppendUint64(nil, off), file...))
	format := make([]byte, 57, 100)
	format[0], format[56] = 4, headerSize
	w.event(evFormat, 0, 0, append(append(format, make([]byte, 40)...), 1))
}

func queryBody(sql string) []byte {
	b := make([]byte, 4+4+1+2+2, 64)
	b[0] = 42
	return append(append(b, 0), sql...)
}

func (w *logWriter) transaction() {
	w.add(evAnonymous, make([]byte, 25))
	w.add(evQuery, queryBody("BEGIN"))
	w.add(evXID, make([]byte, 8))
}

func TestOffsetsBeyond4GiB(t *testing.T) {
	var w logWriter
	const start = 1<<32 - 150
	w.begin("binlog.000009", start)
	var ends []uint64
	for range 3 {
		w.transaction()
		ends = append(ends, w.off)
	}
	if ends[2] <= 1<<32 || ends[0] >= 1<<32 {
		t.Fatalf("the offsets %v do not cross 4 GiB", ends)
	}
	r := play(w.Bytes(), 7, change.Position{})
	for i := 0; i < len(ends); {
		item, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == Begin && item.Tx.Thread != 42 {
			t.Errorf("thread %d", item.Tx.Thread)
		}
		if item.Kind == Commit {
			if p := r.Position(); p.Offset != ends[i] || p.File != "binlog.000009" {
				t.Errorf("position %v, want offset %d", p, ends[i])
			}
			i++
		}
	}
	// From such an offset, the file is read from its start and what lies before is passed over.
	w = logWriter{}
	w.begin("binlog.000009", start)
	for range 3 {
		w.transaction()
	}
	r = play(w.Bytes(), 0, change.Position{File: "binlog.000009", Offset: ends[1]})
	r.file = ""
	item, err := r.Next(t.Context())
	if err != nil || item.Kind != Begin || item.Tx.Pos != ends[1] {
		t.Errorf("first item %+v, %v: want the transaction at %d", item, err, ends[1])
	}
}

func TestResyncOffset(t *testing.T) {
	for _, c := range []struct {
		off  uint64
		low  uint32
		want uint64
	}{
		{1000, 1000, 1000}, {1000, 5000, 5000}, {1<<32 - 10, 20, 1<<32 + 20}, {1<<32 + 5, 1<<32 - 5, 1<<32 - 5}, {7<<32 + 1, 2, 7<<32 + 2},
	} {
		if got := resync(c.off, c.low); got != c.want {
			t.Errorf("resync(%d, %d) = %d, want %d", c.off, c.low, got, c.want)
		}
	}
}

// TestEventOfManyPackets: an event larger than a packet, and larger than the buffer.
func TestEventOfManyPackets(t *testing.T) {
	for _, size := range []int{bufferSize, packetLimit - headerSize - crcSize - 1, packetLimit, packetLimit + 100_000} {
		var w logWriter
		w.begin("binlog.000001", 4)
		w.add(evAnonymous, make([]byte, 25))
		w.add(evQuery, queryBody("GRANT /* "+strings.Repeat("x", size)+" */ ALL ON *.* TO u"))
		w.transaction()
		r := play(w.Bytes(), 0, change.Position{})
		commits := 0
		for commits < 2 {
			item, err := r.Next(t.Context())
			if err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			if item.Kind == Commit {
				commits++
			}
		}
		if r.Position().Offset != w.off {
			t.Errorf("size %d: offset %d, want %d", size, r.Position().Offset, w.off)
		}
	}
}

func TestDamage(t *testing.T) {
	var w logWriter
	w.begin("binlog.000001", 4)
	w.transaction()
	good := w.Bytes()
	run := func(wire []byte) error {
		r := play(wire, 0, change.Position{})
		for {
			if _, err := r.Next(context.Background()); err != nil {
				return err
			}
		}
	}
	if err := run(good); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("whole stream ends with %v", err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-8] ^= 1
	if err := run(flipped); !errors.Is(err, cdc.ErrCorrupt) {
		t.Errorf("damaged checksum ends with %v", err)
	}
	w = logWriter{}
	w.begin("binlog.000001", 4)
	w.event(evIncident, 0, 0, []byte{1, 0, 0})
	if err := run(w.Bytes()); !errors.Is(err, cdc.ErrIncident) {
		t.Errorf("incident ends with %v", err)
	}
	w = logWriter{}
	w.packet(append([]byte{0xff, 0xd4, 0x04, '#', 'H', 'Y', '0', '0', '0'}, "Could not find first log file name in binary log index file"...))
	if err := run(w.Bytes()); !errors.Is(err, cdc.ErrPurged) {
		t.Errorf("server's error ends with %v", err)
	}
}

// FuzzStream plays arbitrary bytes as a server's answer: it ends with an error, never a panic.
func FuzzStream(f *testing.F) {
	var w logWriter
	w.begin("binlog.000001", 4)
	w.transaction()
	f.Add(w.Bytes(), uint8(0))
	m, _ := benchTable()
	w.add(evAnonymous, make([]byte, 25))
	w.add(evQuery, queryBody("BEGIN"))
	w.add(evTableMap, tableMapBody(m))
	w.add(evWriteRows1, benchEvent(3))
	w.add(evXID, make([]byte, 8))
	w.add(evPayload, []byte{2, 1, 255, 1, 1, 5, 0})
	w.add(evMariaGTID, make([]byte, 13))
	w.add(evTaggedGTID, make([]byte, 40))
	f.Add(w.Bytes(), uint8(3))
	f.Fuzz(func(t *testing.T, wire []byte, step uint8) {
		r := play(wire, int(step), change.Position{})
		r.crc = false
		for range 10_000 {
			if _, err := r.Next(t.Context()); err != nil {
				return
			}
		}
	})
}

// tableMapBody encodes a table map of columns without metadata longer than two bytes.
func tableMapBody(m *tableMap) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(m.id))
	b = append(b, 0, 0, 0, 0)
	b = append(append(append(b, byte(len(m.db))), m.db...), 0)
	b = append(append(append(b, byte(len(m.name))), m.name...), 0)
	b = append(b, byte(len(m.columns)))
	var meta []byte
	for _, c := range m.columns {
		b = append(b, c.typ)
		switch c.typ {
		case typeString, typeDecimal:
			meta = append(meta, byte(c.meta>>8), byte(c.meta))
		case typeVarchar, typeVarString, typeBit, typeEnum, typeSet:
			meta = append(meta, byte(c.meta), byte(c.meta>>8))
		case typeBlob, typeGeometry, typeJSON, typeDouble, typeFloat, typeTimestamp2, typeDatetime2, typeTime2:
			meta = append(meta, byte(c.meta))
		}
	}
	b = append(append(b, byte(len(meta))), meta...)
	return append(b, make([]byte, (len(m.columns)+7)/8)...)
}

// layoutFor makes a layout that captures every column of a table map in a kind that suits its type.
func layoutFor(m *tableMap) *cdc.Layout {
	l := &cdc.Layout{Table: &change.Table{ID: change.TableID{DB: m.db, Name: m.name}}}
	for i, c := range m.columns {
		t := change.Type{Kind: change.Int, Name: "int", Scale: int(c.meta)}
		typ := c.typ
		if typ == typeString {
			typ, _ = stringMeta(c.meta)
		}
		switch typ {
		case typeFloat:
			t.Kind = change.Float
		case typeDouble:
			t.Kind = change.Double
		case typeDecimal:
			t.Kind, t.Precision, t.Scale = change.Decimal, int(c.meta>>8), int(c.meta&0xff)
		case typeYear:
			t.Kind = change.Year
		case typeDate, typeNewDate:
			t.Kind = change.Date
		case typeTime, typeTime2:
			t.Kind = change.Time
		case typeDatetime, typeDatetime2:
			t.Kind = change.Datetime
		case typeTimestamp, typeTimestamp2:
			t.Kind = change.Timestamp
		case typeBit:
			t.Kind, t.Name = change.Uint, "bit"
		case typeEnum:
			t.Kind, t.Name, t.Members = change.String, "enum", []string{"a", "b"}
		case typeSet:
			t.Kind, t.Name, t.Members = change.String, "set", []string{"a", "b"}
		case typeVarchar, typeVarString, typeString:
			t.Kind, t.Name, t.Charset = change.String, "varchar", []string{"utf8mb4", "latin1", "gbk", "utf16", "utf32"}[i%5]
		case typeBlob, typeTinyBlob, typeMediumBlob, typeLongBlob:
			t.Kind, t.Name = change.Bytes, "blob"
		}
		name := string(rune('a' + i%26))
		l.Table.Columns = append(l.Table.Columns, change.Column{Name: name, Type: t, Nullable: true})
		l.Fields = append(l.Fields, cdc.Field{Name: name, Column: i})
	}
	return l
}

// FuzzRows decodes arbitrary rows of arbitrary tables: rows of the table's width, or an error.
func FuzzRows(f *testing.F) {
	m, _ := benchTable()
	f.Add(tableMapBody(m), benchEvent(3), uint8(evWriteRows1))
	f.Add(tableMapBody(&tableMap{id: 1, db: "d", name: "t", columns: []mapped{
		{typ: typeString, meta: typeEnum<<8 | 1}, {typ: typeString, meta: 0xfe<<8 | 20}, {typ: typeTime2, meta: 3}, {typ: typeBit, meta: 1<<8 | 5},
		{typ: typeFloat, meta: 4}, {typ: typeDouble, meta: 8}, {typ: typeBlob, meta: 2}, {typ: typeDatetime}, {typ: typeTimestamp}, {typ: typeYear},
		{typ: typeSet, meta: 8<<8 | typeSet}, {typ: typeDate}, {typ: typeTime},
	}}), append(make([]byte, 8), bytes.Repeat([]byte{13, 0xff, 0x1f, 0, 0, 1, 2, 'a', 'b', 3, 4, 5}, 9)...), uint8(evUpdateRows1))
	f.Fuzz(func(t *testing.T, table, event []byte, typ uint8) {
		m, err := parseTableMap(table)
		if err != nil {
			return
		}
		for _, l := range []*cdc.Layout{layoutFor(m), nil} {
			p := compile(m, l, cdc.ZeroNullOrStop)
			if p.broken != nil {
				continue
			}
			var r rows
			id, err := tableID(event)
			if err != nil || r.open(typ, event, map[uint64]*plan{id: p}) != nil || r.plan == nil {
				continue
			}
			var d decoder
			for {
				e, ok, err := r.next(&d)
				if err != nil || !ok {
					break
				}
				if l == nil {
					continue
				}
				for _, row := range []change.Row{e.Before, e.After} {
					if row != nil && len(row) != len(l.Table.Columns) {
						t.Fatalf("row of %d values in a table of %d", len(row), len(l.Table.Columns))
					}
				}
			}
		}
	})
}

// TestRolledBack: a log that says "undo" after rows of captured tables cannot be followed.
func TestRolledBack(t *testing.T) {
	m, l := benchTable()
	l.Table.ID = change.TableID{DB: m.db, Name: m.name}
	for _, c := range []struct {
		sql  string
		rows bool
		ends bool // the statement ends the transaction
	}{
		{"ROLLBACK", true, true}, {"ROLLBACK TO `s`", true, false}, {"ROLLBACK", false, true}, {"ROLLBACK TO `s`", false, false}, {"SAVEPOINT `s`", true, false},
	} {
		var w logWriter
		w.begin("binlog.000001", 4)
		w.add(evAnonymous, make([]byte, 25))
		w.add(evQuery, queryBody("BEGIN"))
		w.add(evTableMap, tableMapBody(m))
		if c.rows {
			w.add(evWriteRows1, benchEvent(2))
		}
		w.add(evQuery, queryBody(c.sql))
		if !c.ends {
			w.add(evXID, make([]byte, 8))
		}
		r := play(w.Bytes(), 0, change.Position{})
		r.layouts[l.Table.ID] = l
		var err error
		committed := false
		for err == nil && !committed {
			var item Item
			item, err = r.Next(t.Context())
			committed = item.Kind == Commit
		}
		if refused := c.rows && strings.HasPrefix(c.sql, "ROLLBACK"); refused != errors.Is(err, cdc.ErrUnlogged) || refused == committed {
			t.Errorf("%s, rows %t: committed %t, %v", c.sql, c.rows, committed, err)
		}
	}
}

// TestUncountedOffsets: a late MariaDB does not write offsets inside a transaction; they are counted.
func TestUncountedOffsets(t *testing.T) {
	var w logWriter
	w.begin("binlog.000001", 4)
	silent := func(typ byte, body []byte) {
		w.off += uint64(headerSize + len(body) + crcSize)
		w.event(typ, 0, 0, body)
	}
	w.add(evMariaGTID, make([]byte, 19))
	silent(evTableMap, tableMapBody(&tableMap{id: 9, db: "d", name: "t", columns: []mapped{{typ: typeLong}}}))
	silent(evXID, make([]byte, 8))
	r := play(w.Bytes(), 0, change.Position{})
	for {
		item, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == Commit {
			break
		}
	}
	if got := r.Position().Offset; got != w.off {
		t.Errorf("offset %d, want %d", got, w.off)
	}
}

// TestMatch: how columns of the log are found in the catalog, and what is no match.
func TestMatch(t *testing.T) {
	layout := func() *cdc.Layout {
		i := change.Type{Kind: change.Int, Name: "int"}
		return &cdc.Layout{
			Table:  &change.Table{ID: change.TableID{DB: "d", Name: "t"}, Columns: []change.Column{{Name: "a", Type: i}, {Name: "b", Type: i}}},
			Fields: []cdc.Field{{Name: "a", Column: 0}, {Name: "x", Column: -1}, {Name: "b", Column: 1}},
		}
	}
	long := func(name string) mapped { return mapped{typ: typeLong, name: name} }
	for _, c := range []struct {
		name    string
		columns []mapped
		broken  bool
	}{
		{"by name, any order", []mapped{long("B"), long("x"), long("a")}, false},
		{"by name, one left out is missing", []mapped{long("a"), long("b")}, false},
		{"by name, the server's own", []mapped{long("a"), long("b"), {typ: typeLongLong, name: "DB_ROW_HASH_1"}, long("!hidden!i!0!0")}, false},
		{"by name, a captured one is missing", []mapped{long("a"), long("x")}, true},
		{"by name, one is unknown", []mapped{long("a"), long("b"), long("new")}, true},
		{"by place", []mapped{long(""), long(""), long("")}, false},
		{"by place, too few", []mapped{long(""), long("")}, true},
		{"another type", []mapped{long("a"), {typ: typeVarchar, meta: 20, name: "b"}}, true},
		{"a type that nobody knows", []mapped{long("a"), long("b"), {typ: 99, name: "x"}}, true},
	} {
		p := compile(&tableMap{id: 1, db: "d", name: "t", columns: c.columns}, layout(), cdc.ZeroStop)
		if (p.broken != nil) != c.broken {
			t.Errorf("%s: %v", c.name, p.broken)
		}
	}
	m := &tableMap{id: 1, db: "d", name: "t", signs: true, columns: []mapped{long("a"), {typ: typeLong, name: "b", unsigned: true}}}
	if p := compile(m, layout(), cdc.ZeroStop); !errors.Is(p.broken, errLayout) {
		t.Errorf("another sign: %v", p.broken)
	}
}

func TestDumpErrors(t *testing.T) {
	for text, kind := range map[string]error{
		"Could not find first log file name in binary log index file":                                                                                       cdc.ErrPurged,
		"Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere":                                cdc.ErrPurged,
		"Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.": cdc.ErrPurged,
		"Error: connecting slave requested to start from GTID 0-1-9, which is not in the master's binlog":                                                   cdc.ErrDiverged,
		"The binlog on the master is missing the GTID 0-1-9 requested by the slave (even though a subsequent sequence number does exist)":                   cdc.ErrDiverged,
		"Slave has more GTIDs than the master has, using the master's SERVER_UUID.":                                                                         cdc.ErrDiverged,
		"Client requested source to start replication from impossible position; the first event 'binlog.000001' at 999999":                                  cdc.ErrDiverged,
		"A replica with the same server_uuid/server_id as this replica has connected to the source; the first event ''":                                     cdc.ErrUnsupported,
		"event read from binlog did not pass crc check; the first event 'b.000001' at 4":                                                                    cdc.ErrCorrupt,
	} {
		err := dumpError(&gomysql.MyError{Code: 1236, Message: text})
		var e *cdc.Error
		if !errors.Is(err, kind) || !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := dumpError(&gomysql.MyError{Code: 1227, Message: "Access denied; you need REPLICATION SLAVE"}); !errors.Is(err, cdc.ErrAccess) {
		t.Error(err)
	}
}
