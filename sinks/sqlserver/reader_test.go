package sqlserver

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestReader reads back ranges, the place that they stand at, and what is quarantined; with and without snapshots.
func TestReader(t *testing.T) {
	d := newDatabase(t)
	table := &change.Table{ID: change.TableID{Name: "Word"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Word", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20}},
		{Name: "Amount", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}, Nullable: true},
	}}
	tg := sinks.Target{From: "Word", Table: table, To: "Words", Soft: true}
	w, s := &writer{}, d.open(t, sinktest.Options{Reader: "n"})
	r, err := NewReader(d.config("verify"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	w.shown(t, s, tg)
	row := func(word, amount string) change.Row {
		return change.Row{change.StringValue(word), change.DecimalValue(amount)}
	}
	var events []change.Event
	for _, word := range []string{"a", "a\x01", "ab", "b", "é", "\ufffd", "😀"} {
		events = append(events, change.Event{Table: table, Op: change.Insert, After: row(word, "1.50")})
	}
	events = append(events, change.Event{Table: table, Op: change.Insert, After: change.Row{change.StringValue("poison"), change.AbsentValue()}})
	b := w.batch(change.Changes, nil, events...)
	b.Mark.Position = change.Position{Server: "s", GTID: "s:1-7"}
	w.mark = b.Mark
	mustApply(t, s, b, w.batch(change.Changes, nil, change.Event{Table: table, Op: change.Delete, Before: row("b", "1.50")}))
	read := func(lo, hi string) []string {
		t.Helper()
		rng := change.WholeTable()
		if lo != "" {
			rng.Lo, rng.HasLo = change.KeyOf(change.StringValue(lo)), true
		}
		if hi != "" {
			rng.Hi, rng.HasHi = change.KeyOf(change.StringValue(hi)), true
		}
		rows, at, err := r.Range(t.Context(), "s", tg, rng)
		if err != nil {
			t.Fatal(err)
		}
		if at != b.Mark.Position {
			t.Errorf("the rows stand at %s, want %s", at, b.Mark.Position)
		}
		var words []string
		for _, row := range rows {
			if row[1].Text() != "1.50" {
				t.Errorf("%s has the amount %s", row[0], row[1])
			}
			words = append(words, row[0].Text())
		}
		slices.Sort(words)
		return words
	}
	for _, allowed := range []bool{false, true} {
		if allowed && d.server.Double != nil {
			d.run(t, "ALTER DATABASE "+ident(d.name)+" SET ALLOW_SNAPSHOT_ISOLATION ON")
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			lo, hi string
			want   []string
		}{
			{"", "", []string{"a", "a\x01", "ab", "é", "\ufffd", "😀"}},
			{"a\x01", "", []string{"a\x01", "ab", "é", "\ufffd", "😀"}},
			{"a", "ab", []string{"a", "a\x01"}},
			{"", "\ufffd", []string{"a", "a\x01", "ab", "é"}},
			{"\ufffd", "😀", []string{"\ufffd"}},
			{"😀", "", []string{"😀"}},
		} {
			if d := cmp.Diff(c.want, read(c.lo, c.hi)); d != "" {
				t.Errorf("[%q, %q), snapshots allowed: %t:\n%s", c.lo, c.hi, allowed, d)
			}
		}
	}
	if at, err := r.Shown(t.Context(), "s", tg.From); err != nil || at != b.Mark.Position {
		t.Errorf("shown at %s (error %v), want %s", at, err, b.Mark.Position)
	}
	if keys, err := r.Quarantined(t.Context(), "s", tg.From); err != nil || !keys[`["poison"]`] || len(keys) != 1 {
		t.Errorf("quarantined %v (error %v)", keys, err)
	}
}

// TestOldReadersTable: a table whose readers know its surrogate key and its columns is adopted; the surrogate and what
// else the stream does not have are never written.
func TestOldReadersTable(t *testing.T) {
	d := newDatabase(t)
	d.run(t, `CREATE TABLE [dbo].[OrderFlats] (
    [Id] bigint IDENTITY(1,1) NOT NULL PRIMARY KEY,
    [OrderId] int NOT NULL,
    [Name] nvarchar(max) NULL,
    [IsDeleted] bit NOT NULL DEFAULT 0,
    [Note] nvarchar(20) NOT NULL DEFAULT N'untouched'
)`)
	d.run(t, "INSERT INTO [dbo].[OrderFlats] ([OrderId], [Name]) VALUES (1, N'right'), (2, N'wrong'), (3, N'gone')")
	table := &change.Table{ID: change.TableID{Name: "Flat"}, Key: []int{0}, Columns: []change.Column{
		{Name: "OrderId", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Name", Type: change.Type{Kind: change.String, Name: "varchar", Length: 45}, Nullable: true},
	}}
	tg := sinks.Target{From: "Flat", Table: table, To: "OrderFlats", Soft: true, Adopt: true}
	s, w := d.open(t, sinktest.Options{Reader: "mars"}), &writer{}
	closed(t, s)
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	read := func(id int64, name string) change.Event {
		return change.Event{Table: table, Op: change.Read, After: change.Row{change.IntValue(id), change.StringValue(name)}}
	}
	cover := &change.Cover{ID: "c", Heal: true, Tables: []string{"Flat"}}
	mustApply(t, s, w.batch(change.Begin, cover),
		w.batch(change.Chunk, &change.Cover{ID: "c", Table: "Flat"}, read(1, "right"), read(2, "mended"), read(4, "new")), w.batch(change.End, cover))
	var got []string
	d.do(t, func(ctx context.Context, own *session) error {
		got = nil
		var line string
		return own.each(ctx, `SELECT CONCAT([Id], ' ', [OrderId], ' ', [Name], ' ', [IsDeleted], ' ', [Note]) FROM [dbo].[OrderFlats] ORDER BY [Id]`, nil,
			func() error { got = append(got, line); return nil }, &line)
	})
	want := "1 1 right 0 untouched|2 2 mended 0 untouched|3 3 gone 1 untouched|4 4 new 0 untouched"
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

// TestRemains: what a removed sink leaves is named, and purged on request; what belongs to another stream stays.
func TestRemains(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	w, tg, other := &writer{}, simpleTarget(), simpleTarget()
	other.To = "Others"
	w.shown(t, s, tg)
	mustApply(t, s, w.batch(change.Begin, &change.Cover{ID: "b", Heal: true, Tables: []string{tg.From}}))
	if err := s.Prepare(t.Context(), "s2", []sinks.Target{other}); err != nil {
		t.Fatal(err)
	}
	d.run(t, "CREATE TABLE [dbo].[cdc_stage_foreign] ([Id] int NOT NULL)")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := d.config("n")
	check := func(do func(context.Context, Config, ...string) ([]string, error), stream string, want ...string) {
		t.Helper()
		got, err := do(t.Context(), cfg, stream)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("stream %s: %v (error %v), want %v", stream, got, err, want)
		}
	}
	const progress, quarantine = "[dbo].[cdc_progress]", "[dbo].[cdc_quarantine]"
	check(Remains, "s", "[dbo].[Simples]", "[dbo].[cdc_stage_Simples]", progress, quarantine)
	check(Remains, "s2", "[dbo].[Others]", progress, quarantine)
	check(Purge, "s", "[dbo].[Simples]", "[dbo].[cdc_stage_Simples]")
	check(Purge, "s2", "[dbo].[Others]", progress, quarantine)
	check(Remains, "s")
	d.run(t, "DROP TABLE [dbo].[cdc_stage_foreign]") // it is still there
}
