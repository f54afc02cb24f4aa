package binlog

import (
	"encoding/binary"
	"testing"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// benchTable has integers, a decimal, temporals and a text, as many tables do.
func benchTable() (*tableMap, *cdc.Layout) {
	m := &tableMap{id: 1, db: "d", name: "t", columns: []mapped{
		{typ: typeLong}, {typ: typeDatetime2}, {typ: typeInt24}, {typ: typeShort}, {typ: typeDatetime2}, {typ: typeTiny},
		{typ: typeDecimal, meta: 5<<8 | 2}, {typ: typeVarchar, meta: 45 * 4}, {typ: typeTimestamp2},
	}}
	col := func(name string, k change.Kind, t change.Type) change.Column {
		t.Kind = k
		return change.Column{Name: name, Type: t, Nullable: true}
	}
	t := &change.Table{ID: change.TableID{DB: "d", Name: "t"}, Key: []int{0}, Columns: []change.Column{
		col("a", change.Int, change.Type{Name: "int"}), col("b", change.Datetime, change.Type{Name: "datetime"}),
		col("c", change.Uint, change.Type{Name: "mediumint"}), col("d", change.Uint, change.Type{Name: "smallint"}),
		col("e", change.Datetime, change.Type{Name: "datetime"}), col("f", change.Uint, change.Type{Name: "tinyint"}),
		col("g", change.Decimal, change.Type{Name: "decimal", Precision: 5, Scale: 2}),
		col("h", change.String, change.Type{Name: "varchar", Charset: "utf8mb4"}), col("i", change.Timestamp, change.Type{Name: "timestamp"}),
	}}
	l := &cdc.Layout{Table: t}
	for i, c := range t.Columns {
		l.Fields = append(l.Fields, cdc.Field{Name: c.Name, Column: i})
	}
	return m, l
}

func benchRow(b []byte, i int) []byte {
	b = append(b, 0, 0xfe)
	if i%4 == 0 {
		b[len(b)-2] = 1 << 4 // one NULL
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(i))
	b = append(b, 0x99, 0xb2, 0x9e, 0x12, 0x34)
	b = append(b, byte(i), byte(i>>8), 0)
	b = append(b, byte(i), 1)
	if i%4 != 0 {
		b = append(b, 0x99, 0xb2, 0xa0, 0x12, 0x34)
	}
	b = append(b, 1)
	b = append(b, 0x80, 4, byte(i%100))
	b = append(b, 12)
	b = append(b, "MARY O'BRIEN"...)
	return binary.BigEndian.AppendUint32(b, 1770000000)
}

func benchEvent(rows int) []byte {
	body := append(make([]byte, 8), 9, 0xff, 0x01)
	body[0] = 1
	for i := range rows {
		body = benchRow(body, i)
	}
	return body
}

func BenchmarkDecode(b *testing.B) {
	m, l := benchTable()
	p := compile(m, l, cdc.ZeroNullOrStop)
	if p.broken != nil {
		b.Fatal(p.broken)
	}
	const perEvent = 100
	body := benchEvent(perEvent)
	var d decoder
	plans := map[uint64]*plan{1: p}
	var r rows
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for n < b.N {
		if err := r.open(evWriteRows1, body, plans); err != nil {
			b.Fatal(err)
		}
		for {
			e, ok, err := r.next(&d)
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
			if len(e.After) != 9 {
				b.Fatal("short row")
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
