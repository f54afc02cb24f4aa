package statestore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// fixture is a state directory as version 1 wrote it. It is never written again: every later version
// reads it, or says how to get rid of it. CDC_WRITE_FIXTURE=1 writes it where there is none.
const fixture = "testdata/v1"

// everyKind has a column of every kind of value.
func everyKind() (*change.Table, change.Row) {
	t := &change.Table{ID: change.TableID{DB: "db", Name: "kinds"}, Key: []int{0, 6}, Version: 3}
	row := change.Row{
		change.IntValue(-5), change.UintValue(1<<64 - 1), change.FloatValue(1.5), change.DoubleValue(-2.25),
		change.DecimalValue("-12.340"), change.StringValue("Zoë\x00"), change.BytesValue([]byte{0, 255}),
		change.DateValue(-1), change.TimeValue(-3600e6), change.DatetimeValue(1e15), change.TimestampValue(1),
		change.YearValue(1999), change.JSONValue(`{"a":1}`), change.NullValue(),
	}
	for i, v := range row {
		c := change.Column{Name: "c" + string(rune('a'+i)), Type: change.Type{Kind: v.Kind(), Name: v.Kind().String(), Scale: 3}, Nullable: true}
		if v.IsNull() {
			c.Type.Kind = change.String
		}
		t.Columns = append(t.Columns, c)
	}
	return t, row
}

func fixtureLayouts() []Layout {
	kinds, row := everyKind()
	all := make([]int, len(row))
	for i := range all {
		all[i] = i
	}
	return append(layout([]int{0, 1}, "name"), Layout{Shape: kinds, Columns: all})
}

var fixtureMarks = Marks{
	In:  change.Mark{Incarnation: 1700000000000000, Offset: 41, ID: "in-id", Seq: 12, Position: change.Position{GTID: "0-1-100"}},
	Out: change.Mark{Incarnation: 1700000000000001, Offset: 7, ID: "out-id", Seq: 5},
}

func writeFixture(t *testing.T) {
	s, err := Open(fixture, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	mustConfigure(t, s, fixtureLayouts())
	b := s.NewBatch()
	put(t, b, 1, "a")
	kinds, row := everyKind()
	k, err := kinds.RowKey(row)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetRow(1, []byte(k), row); err != nil {
		t.Fatal(err)
	}
	b.SetWhole(people.ID)
	b.SetValue("schemas", []byte(`{"db.kinds":3}`))
	mustCommit(t, b)
	if err := s.db.Flush(); err != nil { // one part in a table file, the rest in the log
		t.Fatal(err)
	}
	b = s.NewBatch()
	put(t, b, 2, "a")
	if err := b.Note(1, []byte(k)); err != nil {
		t.Fatal(err)
	}
	b.SetMarks(fixtureMarks)
	b.SetCovering(map[string]Covering{"db.kinds": {Cover: "cover-id", Unordered: true}})
	mustCommit(t, b)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestFixture(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(fixture); os.Getenv("CDC_WRITE_FIXTURE") != "" && err != nil {
		writeFixture(t)
	}
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if !s.Moved() || s.ID() == "" {
		t.Errorf("a copy of the fixture: moved %t, id %q", s.Moved(), s.ID())
	}
	gaps := mustConfigure(t, s, fixtureLayouts())
	if want := []Gap{{Table: change.TableID{DB: "db", Name: "kinds"}, New: true}}; !cmp.Equal(gaps, want) {
		t.Errorf("gaps %+v, want %+v", gaps, want)
	}
	if s.Marks() != fixtureMarks {
		t.Errorf("marks %+v", s.Marks())
	}
	if c := s.Covering()["db.kinds"]; c != (Covering{Cover: "cover-id", Unordered: true}) {
		t.Errorf("covering %+v", s.Covering())
	}
	if v := string(s.Value("schemas")); v != `{"db.kinds":3}` {
		t.Errorf("value %q", v)
	}
	rows, found := content(t, s, "a")
	if want := []string{`1"a"`, `2"a"`}; !cmp.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	if want := []string{"a1", "a2"}; !cmp.Equal(found, want) {
		t.Errorf("index gives %v, want %v", found, want)
	}
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, r)
	kinds, want := everyKind()
	k, err := kinds.RowKey(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Row(1, []byte(k)); err != nil || !got.Equal(want) {
		t.Errorf("row of every kind: %v, %v; want %v", got, err, want)
	}
	if noted, err := r.Noted(1, []byte(k)); err != nil || !noted {
		t.Errorf("Noted = %t, %v", noted, err)
	}
}

// FuzzRow: whatever bytes stand in a row, reading them gives a row or an error, and a row that was read
// is written as it was.
func FuzzRow(f *testing.F) {
	kinds, row := everyKind()
	f.Add(change.AppendRow(nil, row, nil))
	f.Add([]byte{})
	f.Add([]byte{6, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var values change.Row
		for rest := raw; len(rest) > 0; {
			v, next, err := change.DecodeValue(rest)
			if err != nil {
				return
			}
			values, rest = append(values, v), next
		}
		again := make(change.Row, len(values))
		if err := change.DecodeRow(change.AppendRow(nil, values, nil), again, nil); err != nil || !again.Equal(values) {
			t.Errorf("%v was written and read as %v, %v", values, again, err)
		}
		r := &Reader{}
		st := &tableState{blank: make(change.Row, len(kinds.Columns)), read: map[uint16][]int{1: {0, -1, 2}}}
		if _, err := r.decode(st, raw); err == nil && len(raw) < 4 {
			t.Errorf("a row of three values in %d bytes", len(raw))
		}
	})
}
