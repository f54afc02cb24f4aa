package statestore

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

var people = &change.Table{
	ID: change.TableID{DB: "db", Name: "people"},
	Columns: []change.Column{
		{Name: "id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "name", Type: change.Type{Kind: change.String, Name: "varchar"}, Nullable: true},
		{Name: "born", Type: change.Type{Kind: change.Date, Name: "date"}, Nullable: true},
	},
	Key: []int{0}, Version: 1,
}

func person(id int64, name string) change.Row {
	return change.Row{change.IntValue(id), change.StringValue(name), change.AbsentValue()}
}

func key(id int64) []byte { return []byte(change.KeyOf(change.IntValue(id))) }

func layout(columns []int, indexes ...string) []Layout {
	return []Layout{{Shape: people, Columns: columns, Indexes: indexes}}
}

func mustOpen(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("state", Options{FS: fs, Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustConfigure(t *testing.T, s *Store, l []Layout) []Gap {
	t.Helper()
	gaps, err := s.Configure(l)
	if err != nil {
		t.Fatal(err)
	}
	return gaps
}

func mustCommit(t *testing.T, b *Batch) {
	t.Helper()
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, b *Batch, id int64, name string) {
	t.Helper()
	err := errors.Join(b.SetRow(0, key(id), person(id, name)), b.SetIndex(0, change.AppendKey(nil, change.StringValue(name)), key(id), true))
	if err != nil {
		t.Fatal(err)
	}
}

// content returns all rows, and for each name the ids that the index gives.
func content(t *testing.T, s *Store, names ...string) (rows []string, found []string) {
	t.Helper()
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, r)
	if err := r.Rows(0, nil, nil, func(k []byte, row change.Row) bool {
		one, err := r.Row(0, k)
		if err != nil || !one.Equal(row) {
			t.Errorf("Row(%x) = %v, %v; Rows has %v", k, one, err, row)
		}
		rows = append(rows, row[0].String()+row[1].String())
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := r.Index(0, change.AppendKey(nil, change.StringValue(n)), func(k []byte) bool {
			id, err := change.DecodeKey(change.Key(k), people.KeyTypes())
			if err != nil {
				t.Error(err)
			}
			found = append(found, n+id[0].String())
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	return rows, found
}

func TestRowsAndIndexes(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	gaps := mustConfigure(t, s, layout([]int{0, 1}, "name"))
	if len(gaps) != 1 || !gaps[0].New || gaps[0].Indexes != nil {
		t.Errorf("gaps of an empty store: %+v", gaps)
	}
	b := s.NewBatch()
	put(t, b, 2, "b")
	put(t, b, 1, "a")
	put(t, b, -3, "a")
	mark := Marks{In: change.Mark{Incarnation: 7, Offset: 3, ID: "x", Seq: 9}}
	b.SetMarks(mark)
	b.SetWhole(people.ID)
	mustCommit(t, b)

	rows, found := content(t, s, "a", "b", "c")
	if want := []string{`-3"a"`, `1"a"`, `2"b"`}; !cmp.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	if want := []string{"a-3", "a1", "b2"}; !cmp.Equal(found, want) {
		t.Errorf("index gives %v, want %v", found, want)
	}
	if s.Marks() != mark {
		t.Errorf("marks %v, want %v", s.Marks(), mark)
	}

	b = s.NewBatch()
	if err := errors.Join(b.SetRow(0, key(1), nil), b.SetIndex(0, change.AppendKey(nil, change.StringValue("a")), key(1), false)); err != nil {
		t.Fatal(err)
	}
	put(t, b, 2, "B")
	mustCommit(t, b)
	rows, found = content(t, s, "a")
	if want := []string{`-3"a"`, `2"B"`}; !cmp.Equal(rows, want) {
		t.Errorf("rows %v, want %v (is the cache stale?)", rows, want)
	}
	if want := []string{"a-3"}; !cmp.Equal(found, want) {
		t.Errorf("index gives %v, want %v", found, want)
	}
}

func TestReaderKeepsItsVersion(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	mustConfigure(t, s, layout([]int{0, 1}, "name"))
	b := s.NewBatch()
	put(t, b, 1, "old")
	mustCommit(t, b)
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	b = s.NewBatch()
	put(t, b, 1, "new")
	mustCommit(t, b)
	for range 2 {
		row, err := r.Row(0, key(1))
		if err != nil || row[1].Text() != "old" {
			t.Errorf("the reader sees %v, %v", row, err)
		}
	}
	mustClose(t, r)
	if rows, _ := content(t, s); !cmp.Equal(rows, []string{`1"new"`}) {
		t.Errorf("after the old reader: %v", rows)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	id := s.ID()
	mustConfigure(t, s, layout([]int{0, 1}, "name"))
	b := s.NewBatch()
	put(t, b, 1, "a")
	b.SetMarks(Marks{Out: change.Mark{ID: "out", Incarnation: 1}})
	b.SetCovering(map[string]Covering{"db.people": {Cover: "c", Unordered: true}})
	b.SetValue("schema", []byte("5"))
	if err := b.Note(0, key(8)); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, b)
	mustClose(t, s)

	s = mustOpen(t, fs)
	defer mustClose(t, s)
	if s.ID() != id || s.Moved() {
		t.Errorf("id %s, was %s; moved %t", s.ID(), id, s.Moved())
	}
	if gaps := mustConfigure(t, s, layout([]int{0, 1}, "name")); len(gaps) != 1 || !gaps[0].New {
		t.Errorf("a cover that did not end counts as whole: %+v", gaps)
	}
	if rows, _ := content(t, s); !cmp.Equal(rows, []string{`1"a"`}) {
		t.Errorf("rows %v", rows)
	}
	if s.Marks().Out.ID != "out" || !s.Covering()["db.people"].Unordered || string(s.Value("schema")) != "5" {
		t.Errorf("meta was lost: %+v %+v %q", s.Marks(), s.Covering(), s.Value("schema"))
	}
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, r)
	for id, want := range map[int64]bool{8: true, 9: false} {
		if got, err := r.Noted(0, key(id)); got != want || err != nil {
			t.Errorf("Noted(%d) = %t, %v", id, got, err)
		}
	}
}

func TestLayoutsChange(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem())
	defer mustClose(t, s)
	mustConfigure(t, s, layout([]int{0, 1}, "name"))
	b := s.NewBatch()
	put(t, b, 1, "a")
	b.SetWhole(people.ID)
	mustCommit(t, b)
	if gaps := mustConfigure(t, s, layout([]int{0, 1}, "name")); gaps != nil {
		t.Errorf("the same layout has gaps: %+v", gaps)
	}

	gaps := mustConfigure(t, s, layout([]int{0, 1, 2}, "name", "born"))
	want := []Gap{{Table: people.ID, Columns: []string{"born"}, Indexes: []int{1}}}
	if d := cmp.Diff(want, gaps); d != "" {
		t.Errorf("gaps: %s", d)
	}
	if rows, _ := content(t, s); !cmp.Equal(rows, []string{`1"a"`}) {
		t.Errorf("rows of the old layout: %v", rows)
	}
	b = s.NewBatch()
	b.SetWhole(people.ID)
	b.SetBuilt(1)
	mustCommit(t, b)
	if gaps := mustConfigure(t, s, layout([]int{0, 1, 2}, "name", "born")); gaps != nil {
		t.Errorf("gaps after the cover: %+v", gaps)
	}
	// A shape with a column in front: the old rows are found by name.
	wider := *people
	wider.Columns = append([]change.Column{{Name: "x", Type: people.Columns[0].Type}}, people.Columns...)
	wider.Key = []int{1}
	if gaps := mustConfigure(t, s, []Layout{{Shape: &wider, Columns: []int{1, 2}}}); gaps != nil {
		t.Errorf("fewer columns have gaps: %+v", gaps)
	}
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, r)
	row, err := r.Row(0, key(1))
	if err != nil || !row[0].IsAbsent() || row[2].Text() != "a" {
		t.Errorf("row in the wider shape: %v, %v", row, err)
	}
}

func TestSecondOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "second daemon") {
		t.Errorf("second Open: %v", err)
	}
}

func TestCopyIsMoved(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir()+"/a", t.TempDir()+"/b"
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	mustConfigure(t, s, layout([]int{0, 1}, "name"))
	b := s.NewBatch()
	put(t, b, 1, "a")
	mustCommit(t, b)
	if err := s.Checkpoint(copied); err != nil {
		t.Fatal(err)
	}
	c, err := Open(copied, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, c)
	if !c.Moved() || c.ID() != s.ID() {
		t.Errorf("the copy: moved %t, id %s", c.Moved(), c.ID())
	}
	mustConfigure(t, c, layout([]int{0, 1}, "name"))
	if rows, _ := content(t, c); !cmp.Equal(rows, []string{`1"a"`}) {
		t.Errorf("rows of the copy: %v", rows)
	}
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if c.Moved() || c.ID() == s.ID() || !c.Marks().In.IsZero() {
		t.Errorf("after Reset: moved %t, id %s, marks %v", c.Moved(), c.ID(), c.Marks())
	}
	mustConfigure(t, c, layout([]int{0, 1}, "name"))
	if rows, _ := content(t, c); rows != nil {
		t.Errorf("rows after Reset: %v", rows)
	}
}

func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("state/photos", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("state", Options{FS: fs}); !errors.Is(err, ErrForeign) {
		t.Errorf("Open of a foreign directory: %v", err)
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	mustClose(t, mustOpen(t, fs))
	f, err := fs.Create("state/"+identityFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(`{"format":99,"id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, f)
	if _, err := Open("state", Options{FS: fs}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), "delete state") {
		t.Errorf("Open of format 99: %v", err)
	}
}

func TestScratch(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := mustOpen(t, fs)
	defer mustClose(t, s)
	c, err := s.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"b", "a", "c"} {
		if err := c.Set([]byte(k), []byte("v"+k)); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok, err := c.Get([]byte("a")); string(v) != "va" || !ok || err != nil {
		t.Errorf("Get(a) = %q, %t, %v", v, ok, err)
	}
	if _, ok, err := c.Get([]byte("x")); ok || err != nil {
		t.Errorf("Get(x) = %t, %v", ok, err)
	}
	var got []string
	if err := c.Range([]byte("b"), nil, func(k, v []byte) bool { got = append(got, string(k)+string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"bvb", "cvc"}; !cmp.Equal(got, want) {
		t.Errorf("Range gives %v, want %v", got, want)
	}
	mustClose(t, c)
	names, err := fs.List("state")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "scratch") {
			t.Errorf("%s is left behind", n)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem())
	mustConfigure(t, s, layout([]int{0, 1}, "name"))
	b := s.NewBatch()
	put(t, b, 1, "a")
	mustCommit(t, b)
	content(t, s)
	content(t, s)
	m := s.Metrics()
	if m.RowCacheHits == 0 || m.RowCacheMisses == 0 || m.RowCache == 0 || m.MemTables == 0 || m.DiskBytes == 0 {
		t.Errorf("metrics %+v", m)
	}
	s.fail(errors.New("disk on fire"))
	if m := s.Metrics(); m != (Metrics{}) {
		t.Errorf("metrics after a failure: %+v", m)
	}
	if _, err := s.Read(); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("Read after a failure: %v", err)
	}
	if err := s.Sync(); !errors.Is(err, ErrFailed) {
		t.Errorf("Sync after a failure: %v", err)
	}
	mustClose(t, s)
}

// TestReaderLeak: a reader that is left open is an error of Close, not a hang or a crash.
func TestReaderLeak(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, vfs.NewMem())
	r, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close with an open reader succeeded")
	}
	mustClose(t, r)
	mustClose(t, r)
	mustClose(t, s)
}
