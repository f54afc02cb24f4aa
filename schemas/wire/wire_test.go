package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

// wide has a column of every kind that the wire carries.
func wide() *change.Table {
	col := func(name string, t change.Type) change.Column {
		return change.Column{Name: name, Type: t, Nullable: true}
	}
	return &change.Table{
		ID: change.TableID{DB: "shop", Name: "t_all"}, Version: 1, Key: []int{0, 12},
		Columns: []change.Column{
			{Name: "id", Type: change.Type{Kind: change.Uint, Name: "int"}},
			col("bu", change.Type{Kind: change.Uint, Name: "bigint"}),
			col("bs", change.Type{Kind: change.Int, Name: "bigint"}),
			col("de", change.Type{Kind: change.Decimal, Name: "decimal", Precision: 18, Scale: 4}),
			col("fl", change.Type{Kind: change.Float, Name: "float"}),
			col("db", change.Type{Kind: change.Double, Name: "double"}),
			col("dt", change.Type{Kind: change.Datetime, Name: "datetime", Scale: 6}),
			col("dt0", change.Type{Kind: change.Datetime, Name: "datetime"}),
			col("ts", change.Type{Kind: change.Timestamp, Name: "timestamp", Scale: 6}),
			col("tm", change.Type{Kind: change.Time, Name: "time", Scale: 3}),
			col("yr", change.Type{Kind: change.Year, Name: "year"}),
			col("da", change.Type{Kind: change.Date, Name: "date"}),
			{Name: "vc", Type: change.Type{Kind: change.String, Name: "varchar", Length: 100}},
			col("vb", change.Type{Kind: change.Bytes, Name: "varbinary", Length: 16}),
			col("bi", change.Type{Kind: change.Uint, Name: "bit", Length: 10}),
			col("b1", change.Type{Kind: change.Uint, Name: "bit", Length: 1}),
			col("js", change.Type{Kind: change.JSON, Name: "json"}),
		},
	}
}

func wideRow() change.Row {
	return change.Row{
		change.UintValue(1), change.UintValue(math.MaxUint64), change.IntValue(math.MinInt64),
		change.DecimalValue("-12345678901234.5678"), change.FloatValue(1.5), change.DoubleValue(2.718281828459045),
		change.DatetimeValue(1772284455123456), change.DatetimeValue(-1000000), change.TimestampValue(1772284455654320),
		change.TimeValue(-3020398999000), change.YearValue(2026), change.DateValue(20512),
		change.StringValue("Zoë 日本 \U0001F600 \"q\" \\ \x01\n"), change.BytesValue([]byte{0, 'b', 'i', 'n'}),
		change.UintValue(513), change.UintValue(1), change.JSONValue(`{"a": 1}`),
	}
}

func encoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder("1.0", "mysql", "jupiter")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// records encodes an event and copies what is emitted.
func records(t testing.TB, e *Encoder, ev *change.Event) []Record {
	t.Helper()
	var out []Record
	err := e.Records(ev, 1772284455123456, func(r Record) error {
		c := Record{Key: append([]byte(nil), r.Key...)}
		if r.Value != nil {
			c.Value = append([]byte{}, r.Value...)
		}
		for _, h := range r.Headers {
			c.Headers = append(c.Headers, Header{h.Key, append([]byte(nil), h.Value...)})
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEnvelopeText(t *testing.T) {
	tab := wide()
	ev := &change.Event{Table: tab, Op: change.Insert, After: wideRow(), RowNo: 2, Origin: &change.Origin{
		CommitMicros: 1795452398924899, ServerID: 97, GTID: "56ea5c01-e75d-11f1-a5d5-02fc00000001:6", File: "binlog.000001", Pos: 3132, Thread: 23, Snapshot: "false",
	}}
	got := records(t, encoder(t), ev)
	if len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
	want := `{"before":null,"after":{"id":1,"bu":18446744073709551615,"bs":-9223372036854775808,"de":"-12345678901234.5678","fl":1.5,` +
		`"db":2.718281828459045,"dt":1772284455123456,"dt0":-1000,"ts":"2026-02-28T13:14:15.65432Z","tm":-3020398999000,"yr":2026,"da":20512,` +
		`"vc":"Zoë 日本 😀 \"q\" \\ \u0001\n","vb":"AGJpbg==","bi":"AQI=","b1":true,"js":"{\"a\": 1}"},` +
		`"source":{"version":"1.0","connector":"mysql","name":"jupiter","ts_ms":1795452398924,"snapshot":"false","db":"shop","sequence":null,` +
		`"ts_us":1795452398924899,"ts_ns":1795452398924899000,"table":"t_all","server_id":97,"gtid":"56ea5c01-e75d-11f1-a5d5-02fc00000001:6",` +
		`"file":"binlog.000001","pos":3132,"row":2,"thread":23,"query":null},"transaction":null,"op":"c","ts_ms":1772284455123,` +
		`"ts_us":1772284455123456,"ts_ns":1772284455123456000}`
	if diff := cmp.Diff(want, string(got[0].Value)); diff != "" {
		t.Error(diff)
	}
	if k := string(got[0].Key); !strings.HasPrefix(k, `{"id":1,"vc":"Zo`) {
		t.Errorf("key %s", k)
	}
}

func TestDeleteAndMovedKey(t *testing.T) {
	tab := wide()
	a, b := wideRow(), wideRow()
	b[0] = change.UintValue(2)
	del := records(t, encoder(t), &change.Event{Table: tab, Op: change.Delete, Before: a})
	if len(del) != 2 || del[1].Value != nil || string(del[0].Key) != string(del[1].Key) {
		t.Fatalf("delete gives %d records, want d and a tombstone with one key", len(del))
	}
	moved := records(t, encoder(t), &change.Event{Table: tab, Op: change.Update, Before: a, After: b})
	if len(moved) != 3 || moved[1].Value != nil {
		t.Fatalf("moved key gives %d records, want d, tombstone, c", len(moved))
	}
	if h := moved[0].Headers; len(h) != 1 || h[0].Key != HeaderNewKey || string(h[0].Value) != string(moved[2].Key) {
		t.Errorf("headers of the delete: %v", h)
	}
	if h := moved[2].Headers; len(h) != 1 || h[0].Key != HeaderOldKey || string(h[0].Value) != string(moved[0].Key) {
		t.Errorf("headers of the create: %v", h)
	}
	d := NewDecoder(tab)
	gone, err := d.Decode(moved[0].Value)
	if err != nil || gone.Op != change.Delete || !gone.Before.Equal(a) {
		t.Errorf("delete decodes as %+v, %v", gone, err)
	}
	came, err := d.Decode(moved[2].Value)
	if err != nil || came.Op != change.Insert || !came.After.Equal(b) {
		t.Errorf("create decodes as %+v, %v", came, err)
	}
}

func TestNotEncodable(t *testing.T) {
	tab := wide()
	for name, v := range map[string]change.Value{"absent": change.AbsentValue(), "not UTF-8": change.StringValue("\xff")} {
		r := wideRow()
		r[12] = v
		err := encoder(t).Records(&change.Event{Table: tab, Op: change.Insert, After: r}, 1, func(Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "shop.t_all") || !strings.Contains(err.Error(), "vc") {
			t.Errorf("%s: error %v does not name table and column", name, err)
		}
	}
}

// TestRoundTrip: what is encoded is valid JSON, and decodes to the identical row.
func TestRoundTrip(t *testing.T) {
	tab := wide()
	e, d := encoder(t), NewDecoder(tab)
	rapid.Check(t, func(rt *rapid.T) {
		row := drawRow(rt, tab)
		recs := records(t, e, &change.Event{Table: tab, Op: change.Read, After: row})
		if !json.Valid(recs[0].Value) {
			rt.Fatalf("not JSON: %s", recs[0].Value)
		}
		ev, err := d.Decode(recs[0].Value)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff([]change.Value(row), []change.Value(ev.After), cmp.Comparer(func(a, b change.Value) bool { return a == b })); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func drawRow(rt *rapid.T, tab *change.Table) change.Row {
	row := make(change.Row, len(tab.Columns))
	for i, c := range tab.Columns {
		if c.Nullable && rapid.IntRange(0, 5).Draw(rt, "null") == 0 {
			continue
		}
		row[i] = drawValue(rt, &c.Type)
	}
	return row
}

func drawValue(rt *rapid.T, t *change.Type) change.Value {
	switch t.Kind {
	case change.Int:
		return change.IntValue(rapid.Int64().Draw(rt, "int"))
	case change.Uint:
		u := rapid.Uint64().Draw(rt, "uint")
		if t.Name == "bit" {
			u &= 1<<t.Length - 1
		}
		return change.UintValue(u)
	case change.Float:
		return change.FloatValue(rapid.Float32().Filter(func(f float32) bool { return f == f && !math.IsInf(float64(f), 0) }).Draw(rt, "float"))
	case change.Double:
		return change.DoubleValue(rapid.Float64().Filter(func(f float64) bool { return f == f && !math.IsInf(f, 0) }).Draw(rt, "double"))
	case change.Decimal:
		s, _ := change.NormalDecimal(rapid.StringMatching(`-?[0-9]{1,14}\.[0-9]{4}`).Draw(rt, "decimal"), t.Scale)
		return change.DecimalValue(s)
	case change.Datetime:
		us := rapid.Int64Range(-62135596800000000, 253402300799999999).Draw(rt, "datetime")
		if t.Scale == 0 {
			us = us / 1e6 * 1e6
		}
		return change.DatetimeValue(us)
	case change.Timestamp:
		return change.TimestampValue(rapid.Int64Range(0, 4294967295999999).Draw(rt, "timestamp"))
	case change.Time:
		return change.TimeValue(rapid.Int64Range(-3020399e6, 3020399e6).Draw(rt, "time"))
	case change.Year:
		return change.YearValue(rapid.Int64Range(1901, 2155).Draw(rt, "year"))
	case change.Date:
		return change.DateValue(rapid.Int64Range(-719162, 2932896).Draw(rt, "date"))
	case change.Bytes:
		return change.BytesValue(rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes"))
	case change.JSON:
		return change.JSONValue(rapid.String().Draw(rt, "json"))
	default:
		return change.StringValue(rapid.String().Draw(rt, "string"))
	}
}

func FuzzDecode(f *testing.F) {
	e := encoder(f)
	for _, ev := range []*change.Event{
		{Table: wide(), Op: change.Insert, After: wideRow()},
		{Table: wide(), Op: change.Update, Before: wideRow(), After: wideRow()},
	} {
		f.Add(records(f, e, ev)[0].Value)
	}
	f.Add([]byte(`{"op":"c","after":{"id":[[[[[1]]]]]}}`))
	d := NewDecoder(wide())
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := d.Decode(b)
		if err == nil && ev.Op != change.Delete && len(ev.After) != len(d.Table().Columns) {
			t.Errorf("row of %d values accepted", len(ev.After))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	e := encoder(b)
	ev := &change.Event{Table: wide(), Op: change.Update, Before: wideRow(), After: wideRow(), Origin: &change.Origin{Snapshot: "false", File: "binlog.000001"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Records(ev, 1772284455123456, func(r Record) error { b.SetBytes(int64(len(r.Value))); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	ev := &change.Event{Table: wide(), Op: change.Update, Before: wideRow(), After: wideRow()}
	v := records(b, encoder(b), ev)[0].Value
	d := NewDecoder(wide())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(v); err != nil {
			b.Fatal(err)
		}
	}
}
