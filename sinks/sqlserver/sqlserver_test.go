package sqlserver

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// simple is a table with one key column and a text.
func simple() *change.Table {
	return &change.Table{ID: change.TableID{Name: "Simple"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Text", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20}, Nullable: true},
	}}
}

func simpleTarget() sinks.Target {
	t := simple()
	return sinks.Target{From: t.ID.String(), Table: t, To: "Simples"}
}

// writer numbers batches of one stream.
type writer struct{ mark change.Mark }

func (w *writer) batch(kind change.UnitKind, c *change.Cover, events ...change.Event) *change.Batch {
	w.mark.Incarnation, w.mark.Offset, w.mark.Seq = 1, w.mark.Offset+1, w.mark.Seq+1
	w.mark.ID = fmt.Sprintf("m%d", w.mark.Offset)
	return &change.Batch{
		Stream: "s", Kind: kind, From: w.mark.Seq, To: w.mark.Seq, Mark: w.mark, Cover: c, Rows: len(events),
		Open: func(context.Context) iter.Seq2[change.Event, error] {
			return func(yield func(change.Event, error) bool) {
				for _, ev := range events {
					if !yield(ev, nil) {
						return
					}
				}
			}
		},
	}
}

func (w *writer) inserts(table *change.Table, from, n int, text func(int) string) *change.Batch {
	events := make([]change.Event, n)
	for i := range events {
		id := from + i
		events[i] = change.Event{Table: table, Op: change.Insert, After: change.Row{change.IntValue(int64(id)), change.StringValue(text(id))}}
	}
	return w.batch(change.Changes, nil, events...)
}

func (w *writer) one(table *change.Table, id int, text string) *change.Batch {
	return w.inserts(table, id, 1, func(int) string { return text })
}

// shown prepares the target and shows it empty.
func (w *writer) shown(t testing.TB, s *Sink, tg sinks.Target) {
	t.Helper()
	closed(t, s)
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	c := &change.Cover{ID: "first", Heal: true, Tables: []string{tg.From}}
	mustApply(t, s, w.batch(change.Begin, c), w.batch(change.Chunk, &change.Cover{ID: "first", Table: tg.From}), w.batch(change.End, c))
}

func closed(t testing.TB, s *Sink) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func mustApply(t testing.TB, s *Sink, batches ...*change.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// texts returns what a target shows, by the first column.
func (d *database) texts(t testing.TB, tg sinks.Target) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range d.rows(t, tg) {
		key := r.Row[0].String()
		if r.Row[0].Kind() == change.String {
			key = r.Row[0].Text()
		}
		out[key] = r.Row[1].Text()
	}
	return out
}

func (d *database) reasons(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	d.do(t, func(ctx context.Context, s *session) error {
		var key, reason string
		return s.each(ctx, "SELECT [row_key], [reason] FROM [dbo].[cdc_quarantine]", nil, func() error { out[key] = reason; return nil }, &key, &reason)
	})
	return out
}

// TestStatementsPerBatch: their number does not depend on the number of rows, and k poison rows among n are
// found in O(k log n).
func TestStatementsPerBatch(t *testing.T) {
	d := newDatabase(t)
	n := 0
	s := d.open(t, sinktest.Options{Reader: "n", Observer: sinks.Observer{Statement: func() { n++ }}})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	d.run(t, "ALTER TABLE [dbo].[Simples] ADD CHECK ([Text] <> N'poison')")
	count := func(b *change.Batch) int {
		n = 0
		mustApply(t, s, b)
		return n
	}
	good := func(int) string { return "good" }
	if one, some := count(w.inserts(tg.Table, 0, 1, good)), count(w.inserts(tg.Table, 10, smallRows, good)); one != 1 || some != 1 {
		t.Errorf("%d statements for a row, %d for %d, want 1", one, some, smallRows)
	}
	const most = 7                                   // begin, Mark, empty inbox, load, update, insert, commit
	count(w.inserts(tg.Table, 0, smallRows+1, good)) // makes the temporary table
	some, many := count(w.inserts(tg.Table, 0, smallRows+1, good)), count(w.inserts(tg.Table, 0, 20_000, good))
	if some != many || some > most {
		t.Errorf("%d statements for %d rows, %d for 20,000", some, smallRows+1, many)
	}
	const rows, poisoned = 4096, 3
	got := count(w.inserts(tg.Table, 0, rows, func(i int) string {
		if i == 5 || i == 2000 || i == 4000 {
			return "poison"
		}
		return "after"
	}))
	if limit := poisoned*12*6 + 60; got > limit { // 12 halvings of at most 3 statements on both sides
		t.Errorf("%d statements to find %d of %d rows, want at most %d", got, poisoned, rows, limit)
	}
	if q := d.quarantine(t); len(q) != poisoned {
		t.Errorf("quarantined %v", q)
	}
}

func TestErrorsAreClassified(t *testing.T) {
	d := newDatabase(t)
	w, tg := &writer{}, simpleTarget()
	s := d.open(t, sinktest.Options{Reader: "n"})
	w.shown(t, s, tg)
	for _, c := range []struct {
		name   string
		change func(*Config)
		class  sinks.Class
		says   string
		access bool
	}{
		{"a wrong password", func(c *Config) { c.Password = "wrong" }, sinks.Stop, "check user and password", true},
		{"a database that is not there", func(c *Config) { c.Database = "nowhere" }, sinks.Stop, "create the database", false},
		{"a schema that is not there", func(c *Config) { c.Schema = "nowhere" }, sinks.Stop, "CREATE SCHEMA [nowhere]; GRANT", false},
		{"nobody listens", func(c *Config) { c.Port = 1 }, sinks.Retry, ":1, database", false},
	} {
		cfg := d.config("other")
		c.change(&cfg)
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = o.Prepare(t.Context(), "s2", []sinks.Target{tg})
		if sinks.ClassOf(err) != c.class || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, want class %s and %q", c.name, err, c.class, c.says)
		}
		var stop *sinks.StopError
		if errors.As(err, &stop) && stop.Access != c.access {
			t.Errorf("%s: access %t", c.name, stop.Access)
		}
		if strings.Contains(fmt.Sprint(err), d.server.Password) {
			t.Errorf("%s: the message holds the password", c.name)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	d.run(t, "DROP TABLE [dbo].[Simples]")
	if err := s.Apply(t.Context(), w.one(tg.Table, 2, "x")); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "restart the sink") {
		t.Errorf("a dropped table: %v, want a stop that says what to do", err)
	}
	d.run(t, "UPDATE [dbo].[cdc_progress] SET [format_version] = 2")
	o := d.open(t, sinktest.Options{Reader: "n"})
	closed(t, o)
	if err := o.Prepare(t.Context(), "s", []sinks.Target{tg}); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "format_version 2") {
		t.Errorf("a later format: %v, want a stop", err)
	}
}

// TestLockedTable: a lock that somebody holds is waited for, then the batch is tried again.
func TestLockedTable(t *testing.T) {
	d := newDatabase(t)
	cfg := d.config("n")
	cfg.LockTimeout = 50e6 // 50 ms
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	mustApply(t, s, w.one(tg.Table, 1, "before"))
	batch := w.one(tg.Table, 1, "after")
	d.do(t, func(ctx context.Context, own *session) error {
		return own.inTransaction(ctx, func() error {
			if _, err := own.exec(ctx, "UPDATE [dbo].[Simples] SET [Text] = N'mine' WHERE [Id] = 1"); err != nil {
				return err
			}
			var retry *sinks.RetryError
			if err := s.Apply(ctx, batch); !errors.As(err, &retry) || retry.Reason != "lock_timeout" {
				t.Errorf("a locked row: %v, want a retry for lock_timeout", err)
			}
			return nil
		})
	})
	mustApply(t, s, batch)
	if d := cmp.Diff(map[string]string{"1": "after"}, d.texts(t, tg)); d != "" {
		t.Error(d)
	}
}

// TestKeysUnderTheServersCollation: an adopted table's key may be in a collation that ignores case. What it cannot tell
// apart is poison, with that reason; a change of case is a change of key.
func TestKeysUnderTheServersCollation(t *testing.T) {
	d := newDatabase(t)
	table := &change.Table{ID: change.TableID{Name: "Word"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Word", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20}},
		{Name: "Text", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20}, Nullable: true},
	}}
	tg := sinks.Target{From: "Word", Table: table, To: "Words", Adopt: true}
	d.run(t, "CREATE TABLE [dbo].[Words] ([Word] nvarchar(40) COLLATE SQL_Latin1_General_CP1_CI_AS NOT NULL PRIMARY KEY, [Text] nvarchar(40) NULL)")
	w, s := &writer{}, d.open(t, sinktest.Options{Reader: "n"})
	w.shown(t, s, tg)
	row := func(word, text string) change.Row {
		return change.Row{change.StringValue(word), change.StringValue(text)}
	}
	insert := func(word, text string) change.Event {
		return change.Event{Table: table, Op: change.Insert, After: row(word, text)}
	}
	mustApply(t, s, w.batch(change.Changes, nil, insert("abc", "1"), insert("def", "2"), insert("def ", "3")))
	want := map[string]string{"abc": "1", "def": "2"}
	if d := cmp.Diff(want, d.texts(t, tg)); d != "" {
		t.Fatalf("two in one batch:\n%s", d)
	}
	mustApply(t, s, w.batch(change.Changes, nil, insert("ABC", "4"), insert("ghi", "5")))
	want["ghi"] = "5"
	if d := cmp.Diff(want, d.texts(t, tg)); d != "" {
		t.Fatalf("a key that is there in another case:\n%s", d)
	}
	reasons := d.reasons(t)
	for _, key := range []string{`["def "]`, `["ABC"]`} {
		if got := reasons[key]; !strings.Contains(got, "it ignores trailing spaces and what the collation SQL_Latin1_General_CP1_CI_AS") {
			t.Errorf("%s: reason %q", key, got)
		}
	}
	mustApply(t, s, w.batch(change.Changes, nil,
		change.Event{Table: table, Op: change.Update, Before: row("ghi", "5"), After: row("GHI", "6")},
		change.Event{Table: table, Op: change.Delete, Before: row("ABC", "4")}))
	delete(want, "ghi")
	want["GHI"] = "6"
	if d := cmp.Diff(want, d.texts(t, tg)); d != "" {
		t.Errorf("a key that changes its case:\n%s", d)
	}
}

// TestTwoStreams: one sink delivers two streams, each with its own place.
func TestTwoStreams(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	a, tg := &writer{}, simpleTarget()
	a.shown(t, s, tg)
	b, other := &writer{}, simpleTarget()
	other.To = "Others"
	if err := s.Prepare(t.Context(), "s2", []sinks.Target{other}); err != nil {
		t.Fatal(err)
	}
	text := func(s string) func(int) string { return func(int) string { return s } }
	cover := &change.Cover{ID: "b", Heal: true, Tables: []string{other.From}}
	for _, batch := range []*change.Batch{b.batch(change.Begin, cover), b.batch(change.End, cover), b.inserts(other.Table, 1, 500, text("other"))} {
		batch.Stream = "s2"
		mustApply(t, s, batch, a.inserts(tg.Table, int(batch.To), 500, text("first")))
	}
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil { // one of them again, as after an error
		t.Fatal(err)
	}
	last := b.inserts(other.Table, 1, 600, text("other"))
	last.Stream = "s2"
	mustApply(t, s, last, a.inserts(tg.Table, 1, 600, text("first")))
	for stream, want := range map[string]change.Mark{"s": a.mark, "s2": b.mark} {
		if got, err := s.Applied(t.Context(), stream); err != nil || got != want {
			t.Errorf("stream %s is at %s (error %v), want %s", stream, got, err, want)
		}
	}
	if n, m := len(d.rows(t, tg)), len(d.rows(t, other)); n != 600 || m != 600 {
		t.Errorf("%d and %d rows, want 600 each", n, m)
	}
}

// TestStagingDropped: a table whose staging somebody dropped waits for a new cover.
func TestStagingDropped(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	shown := w.mark
	mustApply(t, s, w.batch(change.Begin, &change.Cover{ID: "b", Heal: true, Tables: []string{tg.From}}))
	d.run(t, "DROP TABLE [dbo].[cdc_stage_Simples]")
	if err := s.Apply(t.Context(), w.one(tg.Table, 1, "x")); sinks.ClassOf(err) != sinks.Stop {
		t.Fatalf("%v, want a stop", err)
	}
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	states, err := s.Boundaries(t.Context(), "s")
	if err != nil || states[tg.From] != (sinks.TableState{Phase: sinks.Waiting, Boundary: shown}) {
		t.Fatalf("%+v (error %v), want waiting at %s", states, err, shown)
	}
}

// TestPoisonKinds: what SQL Server refuses, and this sink before it, goes to the quarantine.
func TestPoisonKinds(t *testing.T) {
	d := newDatabase(t)
	w, tg := &writer{}, simpleTarget()
	tg.Adopt = true
	d.run(t, "CREATE TABLE [dbo].[Simples] ([Id] int NOT NULL PRIMARY KEY, [Text] nvarchar(20) NOT NULL)")
	d.run(t, "CREATE UNIQUE INDEX [one_text] ON [dbo].[Simples] ([Text])")
	d.run(t, "ALTER TABLE [dbo].[Simples] ADD CONSTRAINT [no_denied] CHECK ([Text] <> N'denied')")
	tg.Table.Columns[1].Nullable = false
	s := d.open(t, sinktest.Options{Reader: "n"})
	w.shown(t, s, tg)
	mustApply(t, s, w.one(tg.Table, 100, "nul\x00byte"))
	// Somebody makes the column narrower behind the sink's back.
	d.run(t, "DROP INDEX [one_text] ON [dbo].[Simples]")
	d.run(t, "ALTER TABLE [dbo].[Simples] DROP CONSTRAINT [no_denied]")
	d.run(t, "ALTER TABLE [dbo].[Simples] ALTER COLUMN [Text] nvarchar(9) NOT NULL")
	d.run(t, "CREATE UNIQUE INDEX [one_text] ON [dbo].[Simples] ([Text])")
	d.run(t, "ALTER TABLE [dbo].[Simples] ADD CONSTRAINT [no_denied] CHECK ([Text] <> N'denied')")
	texts := []string{"one", "not \xff utf8", "much too long for it", "denied", "one", "two"}
	events := []change.Event{}
	for i, text := range texts {
		events = append(events, change.Event{Table: tg.Table, Op: change.Insert, After: change.Row{change.IntValue(int64(i)), change.StringValue(text)}})
	}
	events = append(events, change.Event{Table: tg.Table, Op: change.Insert, After: change.Row{change.IntValue(6), change.NullValue()}})
	mustApply(t, s, w.batch(change.Changes, nil, events...))
	if d := cmp.Diff(map[string]string{"0": "one", "5": "two", "100": "nul\x00byte"}, d.texts(t, tg)); d != "" {
		t.Error(d)
	}
	reasons := d.reasons(t)
	for key, says := range map[string]string{"[1]": "not UTF-8", "[2]": "2628", "[3]": "no_denied", "[4]": "one_text", "[6]": "515"} {
		if !strings.Contains(reasons[key], says) {
			t.Errorf("row %s: reason %q, want one that says %q", key, reasons[key], says)
		}
	}
	for key, reason := range reasons {
		if strings.Contains(reason, "much too") {
			t.Errorf("row %s: the reason quotes the value: %s", key, reason)
		}
	}
}

// TestFormatVersion1 reads what the first format of cdc_progress left in the middle of a heal, and goes on
// from there. The fixture is never edited.
func TestFormatVersion1(t *testing.T) {
	d := newDatabase(t)
	fixture, err := os.ReadFile("testdata/progress_v1.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range strings.Split(string(fixture), "\nGO\n") {
		d.run(t, batch)
	}
	s := d.open(t, sinktest.Options{Reader: "n"})
	closed(t, s)
	tg := simpleTarget()
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	mark, err := s.Applied(t.Context(), "s")
	want := change.Mark{Incarnation: 1, Offset: 5, ID: "m5", Seq: 5, Position: change.Position{Server: "u", GTID: "u:1-5", File: "log.000003", Offset: 777}}
	if err != nil || mark != want {
		t.Fatalf("applied %+v (error %v), want %+v", mark, err, want)
	}
	states, err := s.Boundaries(t.Context(), "s")
	state := sinks.TableState{Phase: sinks.Staged, Cover: "c", Begun: 4, Boundary: change.Mark{Incarnation: 1, Offset: 3, ID: "m3", Seq: 3, Position: change.Position{Server: "u", GTID: "u:1-3"}}}
	if err != nil || len(states) != 1 || states[tg.From] != state {
		t.Fatalf("states %+v (error %v), want %+v", states, err, state)
	}
	w := &writer{mark: mark}
	mustApply(t, s, w.batch(change.End, &change.Cover{ID: "c", Tables: []string{tg.From}}))
	if d := cmp.Diff(map[string]string{"1": "kept", "3": "staged"}, d.texts(t, tg)); d != "" { // the poison key keeps what was shown of it
		t.Errorf("shown after the end:\n%s", d)
	}
	if q := d.quarantine(t); len(q) != 1 || q[0].Key != "[1]" {
		t.Errorf("quarantine %v, want the key [1] alone: the other entry is older than the heal", q)
	}
}
