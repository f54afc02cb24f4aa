package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// fixtures are records as version 1 wrote them, one a line. They are never written again: every later version
// reads them. Lines for a later version go into a folder of their own. CDC_WRITE_FIXTURE=1 writes files where
// there are none.
const fixtures = "testdata/v1"

// kept is a record of the meta or of a data topic, as a line of a fixture.
type kept struct {
	Key   json.RawMessage `json:"key"`
	Value json.RawMessage `json:"value"`
}

// fixture reads a file's lines, and writes it first if it is not there and may be written.
func fixture(t testing.TB, name string, lines func() [][]byte) [][]byte {
	t.Helper()
	path := filepath.Join(fixtures, name)
	if _, err := os.Stat(path); os.Getenv("CDC_WRITE_FIXTURE") != "" && err != nil {
		if err := os.WriteFile(path, append(bytes.Join(lines(), []byte("\n")), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		out = append(out, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func fixtureLine(t testing.TB, key string, value []byte) []byte {
	t.Helper()
	k := json.RawMessage(key)
	if !json.Valid(k) {
		k, _ = json.Marshal(key) // a string is always marshalled
	}
	b, err := json.Marshal(kept{k, value})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// orders is a table with everything that a shape can say.
func orders() *change.Table {
	return &change.Table{
		ID: change.TableID{DB: "shop", Name: "orders"}, Key: []int{0}, Version: 2, Fields: []string{"id", "secret", "customer", "state", "total"},
		Columns: []change.Column{
			{Name: "id", Type: change.Type{Kind: change.Uint, Name: "bigint", Unsigned: true}},
			{Name: "customer", Type: change.Type{Kind: change.Int, Name: "int"}, Nullable: true},
			{Name: "state", Type: change.Type{Kind: change.String, Name: "enum", Charset: "utf8mb4", Collation: "utf8mb4_bin", Members: []string{"open", "paid"}}},
			{Name: "total", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}},
		},
		ForeignKeys: []change.ForeignKey{
			{Name: "fk", Columns: []string{"customer"}, Parent: change.TableID{DB: "shop", Name: "customers"}, ParentBy: []string{"id"},
				OnDelete: change.SetNull, OnUpdate: change.Cascade, Logged: true},
		},
	}
}

var fixturePosition = change.Position{Server: "server-a", GTID: "0-1-100", File: "binlog.000003", Offset: 1 << 33}

// fixtureProgress has a record of every kind, and every field in one of them.
func fixtureProgress() []*Progress {
	keys := change.KeyRange{HasLo: true, Lo: change.KeyOf(change.UintValue(7)), HasHi: true, Hi: change.KeyOf(change.UintValue(90))}
	record := func(id string, kind change.UnitKind, from, to change.Seq, c *change.Cover) *Progress {
		return &Progress{V: 1, ID: id, Prev: "before-" + id, Incarnation: 1_700_000_000_000_000, Kind: kind, SeqFrom: from, SeqTo: to,
			Position: fixturePosition, Writer: "writer-1", Cover: c}
	}
	changes := record("a", change.Changes, 1_700_000_000_000_001, 1_700_000_000_000_003, nil)
	changes.CommitMicros = 1_699_999_999_123_456
	changes.Parts = []Part{{Topic: "jupiter.shop.orders", Partition: 3, From: 10, Next: 15, Count: 4, Tombstones: 1}}
	changes.Input = &change.Mark{Incarnation: 1_600_000_000_000_000, Offset: 41, ID: "in", Seq: 12, Position: change.Position{GTID: "0-1-99"}}
	changes.Views = map[string]string{"Flat": "hash-of-flat"}
	begin := record("b", change.Begin, 4, 4, &change.Cover{ID: "cover-1", Heal: true, For: "neptune", Tables: []string{"shop.orders", "shop.words"},
		Whole: []string{"shop.words"}, Back: change.Position{File: "binlog.000001", Offset: 4}})
	begin.Tables = []*change.Table{orders()}
	return []*Progress{
		changes, begin,
		record("c", change.Chunk, 5, 5, &change.Cover{ID: "cover-1", Table: "shop.orders", Range: keys}),
		record("d", change.Chunk, 6, 6, &change.Cover{ID: "cover-1", Table: "shop.words", Unordered: true}),
		record("e", change.Chunk, 7, 7, &change.Cover{ID: "cover-2", Table: "shop.orders", NoRange: true}),
		record("f", change.End, 8, 8, &change.Cover{ID: "cover-1", Tables: []string{"shop.orders", "shop.words"}}),
		record("g", change.Schema, 9, 9, nil),
		record("h", change.Idle, 10, 9, nil),
	}
}

// TestProgressFixture: the progress records of version 1 are read, and written as they were.
func TestProgressFixture(t *testing.T) {
	want := fixtureProgress()
	lines := fixture(t, "progress.jsonl", func() (out [][]byte) {
		for _, p := range want {
			b, err := EncodeProgress(p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		return out
	})
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		got, err := DecodeProgress(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("record %s (-want +got):\n%s", want[i].ID, diff)
		}
		again, err := EncodeProgress(got)
		if err != nil || !bytes.Equal(again, line) {
			t.Errorf("record %s is written as\n%s\nnot as\n%s (error %v): a new form wants a new version", got.ID, again, line, err)
		}
	}
}

// fixtureMeta has a record of every kind.
func fixtureMeta() (keys []string, values []any) {
	put := func(key string, value any) { keys, values = append(keys, key), append(values, value) }
	put(MetaNewest, &MetaProgress{V: 1, Offset: 17, Progress: *fixtureProgress()[0]})
	put(MetaTablePrefix+"shop.orders", (&TableVersion{V: 1, From: 5, Table: &change.Table{ID: orders().ID, Columns: orders().Columns[:2], Version: 1}}).Next(9, orders()))
	put(MetaCoverPrefix+"cover-1", &CoverState{V: 1, Cover: *fixtureProgress()[1].Cover, Begun: 4,
		Done:   map[string][]change.KeyRange{"shop.orders": {{HasHi: true, Hi: change.KeyOf(change.UintValue(90))}}, "shop.words": {change.WholeTable()}},
		Paused: map[string]string{"shop.orders": "the shape cannot be followed"}})
	put(MetaViewPrefix+"Flat", &ViewState{V: 1, Hash: "hash-of-flat", Shape: TableVersion{V: 1, From: 3, Table: &change.Table{ID: change.TableID{Name: "Flat"}, Columns: orders().Columns[:1], Key: []int{0}}}})
	put(MetaCoverage, &Coverage{V: 1, Tables: map[string]map[string]change.Seq{"shop.orders": {"id": 9, "total": 12}}})
	return keys, values
}

// TestMetaFixture: the meta records of version 1 are read, and written as they were.
func TestMetaFixture(t *testing.T) {
	keys, values := fixtureMeta()
	lines := fixture(t, "meta.jsonl", func() (out [][]byte) {
		for i, k := range keys {
			r, err := EncodeMeta(k, values[i])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fixtureLine(t, r.Key, r.Value))
		}
		return out
	})
	got := NewMeta()
	for _, line := range lines {
		var k kept
		var key string
		if err := json.Unmarshal(line, &k); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(k.Key, &key); err != nil {
			t.Fatal(err)
		}
		if err := got.Apply(MetaRecord{key, k.Value}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	want := &Meta{
		Newest: values[0].(*MetaProgress), Tables: map[string]*TableVersion{"shop.orders": values[1].(*TableVersion)},
		Covers: map[string]*CoverState{"cover-1": values[2].(*CoverState)}, Views: map[string]*ViewState{"Flat": values[3].(*ViewState)},
		Coverage: values[4].(*Coverage),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	for i, v := range []any{got.Newest, got.Tables["shop.orders"], got.Covers["cover-1"], got.Views["Flat"], got.Coverage} {
		r, err := EncodeMeta(keys[i], v)
		if err != nil || i >= len(lines) || !bytes.Equal(fixtureLine(t, r.Key, r.Value), lines[i]) {
			t.Errorf("%s is written as\n%s (error %v): a new form wants a new version", keys[i], r.Value, err)
		}
	}
	for _, k := range keys {
		if err := got.Apply(MetaRecord{Key: k}); err != nil {
			t.Errorf("remove %s: %v", k, err)
		}
	}
	if diff := cmp.Diff(NewMeta(), got); diff != "" {
		t.Errorf("content with every key removed (-want +got):\n%s", diff)
	}
}

// TestRecordFixture: the data records of version 1 are read; their rows are those that were written.
func TestRecordFixture(t *testing.T) {
	tab, row := wide(), wideRow()
	changed := wideRow()
	changed[3], changed[16] = change.DecimalValue("0.0000"), change.NullValue()
	events := []*change.Event{
		{Table: tab, Op: change.Read, After: row},
		{Table: tab, Op: change.Insert, After: row},
		{Table: tab, Op: change.Update, Before: row, After: changed},
		{Table: tab, Op: change.Delete, Before: changed},
	}
	lines := fixture(t, "records.jsonl", func() (out [][]byte) {
		for _, ev := range events {
			r := records(t, encoder(t), ev)[0] // of a delete, without its tombstone
			out = append(out, fixtureLine(t, string(r.Key), r.Value))
		}
		return out
	})
	if len(lines) != len(events) {
		t.Fatalf("%d lines, want %d", len(lines), len(events))
	}
	d := NewDecoder(tab)
	for i, line := range lines {
		var k kept
		if err := json.Unmarshal(line, &k); err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode(k.Value)
		if err != nil || got.Op != events[i].Op || !got.Before.Equal(events[i].Before) || !got.After.Equal(events[i].After) {
			t.Errorf("%s\nis read as %+v (error %v), want %+v", line, got, err, events[i])
		}
	}
}

// FuzzProgress: whatever stands in a progress topic is an error, or a record that is written and read as it is.
func FuzzProgress(f *testing.F) {
	for _, line := range fixture(f, "progress.jsonl", nil) {
		f.Add(line)
	}
	f.Add([]byte(`{"v":2,"id":"x","kind":"changes"}`))
	f.Add([]byte(`{"v":1,"id":"x","kind":"later"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodeProgress(b)
		if err != nil {
			return
		}
		if p.V < 1 || p.V > ProgressVersion || p.ID == "" {
			t.Fatalf("accepted %+v", p)
		}
		text, err := EncodeProgress(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeProgress(text)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := EncodeProgress(again); err != nil || !bytes.Equal(twice, text) {
			t.Errorf("%s is read and written as %s (error %v)", text, twice, err)
		}
	})
}

// FuzzMeta: whatever stands in a meta topic is an error, or an entry that can be written and removed.
func FuzzMeta(f *testing.F) {
	for _, line := range fixture(f, "meta.jsonl", nil) {
		var k kept
		var key string
		if err := json.Unmarshal(line, &k); err != nil {
			f.Fatal(err)
		}
		if err := json.Unmarshal(k.Key, &key); err != nil {
			f.Fatal(err)
		}
		f.Add(key, []byte(k.Value))
	}
	f.Add("later/x", []byte(`{"v":1}`))
	f.Add(MetaNewest, []byte(`{"v":9}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		m := NewMeta()
		if err := m.Apply(MetaRecord{key, value}); err != nil {
			return
		}
		// What every reader of a meta topic does with it must not depend on what is missing in it.
		for _, v := range m.Tables {
			_, _ = v.At(0), v.Next(1, orders())
		}
		for _, v := range m.Views {
			_ = v.Shape.At(0)
		}
		if err := m.Apply(MetaRecord{Key: key}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(NewMeta(), m); diff != "" {
			t.Errorf("something of %q is left when it is removed:\n%s", key, diff)
		}
	})
}
