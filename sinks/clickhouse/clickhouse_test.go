package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// items has an integer key and two values.
func items() sinks.Target {
	t := &change.Table{ID: change.TableID{Name: "Item"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Name", Type: change.Type{Kind: change.String, Name: "varchar", Length: 40}, Nullable: true},
		{Name: "Price", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}, Nullable: true},
	}}
	return sinks.Target{From: "Item", Table: t, To: "Items"}
}

func item(id int, name string) change.Row {
	return change.Row{change.IntValue(int64(id)), change.StringValue(name), change.DecimalValue("1.50")}
}

// feed numbers batches of one stream.
type feed struct {
	seq    change.Seq
	offset int64
}

const streamName = "s"

func (f *feed) batch(kind change.UnitKind, cover *change.Cover, events ...change.Event) *change.Batch {
	f.seq++
	f.offset += 2
	for i := range events {
		events[i].Seq, events[i].Idx = f.seq, i
	}
	b := &change.Batch{
		Stream: streamName, Kind: kind, From: f.seq, To: f.seq, Cover: cover, Rows: len(events), CommitMicros: 1_700_000_000_000_000,
		Mark: change.Mark{Incarnation: 1, Offset: f.offset, ID: fmt.Sprintf("id%d", f.seq), Seq: f.seq, Position: change.Position{Server: "x", File: "log.1", Offset: uint64(f.offset)}},
	}
	b.Open = func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for _, ev := range events {
				if !yield(ev, nil) {
					return
				}
			}
		}
	}
	return b
}

func (f *feed) inserts(tg sinks.Target, name string, ids ...int) *change.Batch {
	var events []change.Event
	for _, id := range ids {
		events = append(events, change.Event{Table: tg.Table, Op: change.Insert, After: item(id, name)})
	}
	return f.batch(change.Changes, nil, events...)
}

// load shows an empty target.
func (f *feed) load(t testing.TB, s *Sink, tg sinks.Target) {
	t.Helper()
	c := func() *change.Cover { return &change.Cover{ID: "c", Heal: true, Tables: []string{tg.From}} }
	mustApply(t, s, f.batch(change.Begin, c()), f.batch(change.End, c()))
}

func mustApply(t testing.TB, s *Sink, batches ...*change.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Apply(t.Context(), b); err != nil {
			t.Fatalf("apply %s %d: %v", b.Kind, b.To, err)
		}
	}
}

func mustPrepare(t testing.TB, s *Sink, targets ...sinks.Target) {
	t.Helper()
	if err := s.Prepare(t.Context(), streamName, targets); err != nil {
		t.Fatal(err)
	}
}

func (d *database) openNamed(t testing.TB, cfg Config) *Sink {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (d *database) text(t testing.TB, sql string) string {
	t.Helper()
	var out []string
	err := d.admin.query(context.Background(), sql, func(scan func(...any) error) error {
		var s string
		err := scan(&s)
		out = append(out, s)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(out, " ")
}

const shownSQL = "SELECT Id || ':' || Name FROM Items ORDER BY Id"

// TestLateBlock: a writer that is fenced between its look at cdc_progress and its block sends it all the same.
// It changes nothing: not what is shown, not the Mark.
func TestLateBlock(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg, f := items(), &feed{}
	older, newer := d.openNamed(t, d.config("x")), d.openNamed(t, d.config("x"))
	mustPrepare(t, older, tg)
	f.load(t, older, tg)
	mustApply(t, older, f.inserts(tg, "first", 1, 2))
	d.run(t, "SYSTEM STOP MERGES Items_versions")
	late := f.inserts(tg, "late", 1)
	later := f.batch(change.Changes, nil,
		change.Event{Table: tg.Table, Op: change.Update, Before: item(1, "late"), After: item(1, "newest")},
		change.Event{Table: tg.Table, Op: change.Delete, Before: item(2, "first")})
	again := *late
	again.Mark.ID = "cut another way" // its block has another token: nothing but versions decides
	older.hook = func(step string) error {
		if step != "before block" {
			return nil
		}
		older.hook = nil
		mustPrepare(t, newer, tg)
		mustApply(t, newer, &again, later)
		return nil
	}
	if err := older.Apply(t.Context(), late); !errors.Is(err, sinks.ErrFenced) {
		t.Fatalf("the older writer: %v, want ErrFenced", err)
	}
	if got := d.text(t, shownSQL); got != "1:newest" {
		t.Errorf("shown: %s", got)
	}
	if got := d.text(t, "SELECT toString(count()) FROM Items_versions WHERE Id = 1 AND Name = 'late'"); got == "0" {
		t.Error("the late block never came: nothing was tested")
	}
	if m, err := newer.Applied(t.Context(), streamName); err != nil || m != later.Mark {
		t.Errorf("applied %v, %v; want %v", m, err, later.Mark)
	}
	// A late Mark of it counts for nothing either.
	st := older.streams[streamName]
	st.version += 5
	if err := older.store(t.Context(), "progress", streamName, &st.ledger, 0, nil, ""); err != nil {
		t.Fatal(err)
	}
	if m, err := newer.Applied(t.Context(), streamName); err != nil || m != later.Mark {
		t.Errorf("after a late mark: applied %v, %v; want %v", m, err, later.Mark)
	}
}

// TestSameBlocks: a batch that is cut off at any step and written again is the same blocks: no row is there
// twice, and a process with other settings keeps to the plan.
func TestSameBlocks(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg, f := items(), &feed{}
	cfg := d.config("x")
	cfg.BlockRows = 2
	s := d.openNamed(t, cfg)
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	d.run(t, "SYSTEM STOP MERGES Items_versions") // a merge would hide a row that is there twice
	batch := f.inserts(tg, "row", 1, 2, 3, 4, 5)
	crash := errors.New("crash")
	for at := 1; ; at++ {
		cfg.BlockRows = 2 + at%3 // but for the first attempt, the plan says 2
		s = d.openNamed(t, cfg)
		mustPrepare(t, s, tg)
		n := 0
		s.hook = func(step string) error {
			if strings.HasSuffix(step, " block") {
				if n++; n == at {
					return crash
				}
			}
			return nil
		}
		err := s.Apply(t.Context(), batch)
		if err == nil {
			if at < 4 {
				t.Fatalf("the batch was through after %d looks at blocks", n)
			}
			break
		}
		if !errors.Is(err, crash) {
			t.Fatal(err)
		}
		var plan string
		if plan = d.text(t, "SELECT plan FROM cdc_progress FINAL WHERE table_name = ''"); !strings.Contains(plan, `"rows":`) {
			t.Fatalf("plan of the unfinished batch: %q", plan)
		}
	}
	if got := d.text(t, "SELECT toString(count()) || '/' || toString(uniqExact(Id)) FROM Items_versions"); got != "5/5" {
		t.Errorf("rows/keys: %s, want 5/5", got)
	}
	if got := d.text(t, "SELECT plan FROM cdc_progress FINAL WHERE table_name = ''"); got != "" {
		t.Errorf("plan after the batch: %q", got)
	}
}

// TestServerKilled: the server is killed in the middle of every statement of a batch of several blocks, and
// comes back.
func TestServerKilled(t *testing.T) {
	server := testenv.NewClickHouse(t)
	d := newDatabase(t, server, HTTP)
	tg, f := items(), &feed{}
	cfg := d.config("x")
	cfg.BlockRows = 100
	s := d.openNamed(t, cfg)
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	ids := make([]int, 250)
	for i := range ids {
		ids[i] = i
	}
	kills := 0
	for at := 1; ; at++ {
		n, killed := 0, false
		var alive chan error
		s.hook = func(step string) error {
			if n++; n == at && !killed {
				killed = true
				kills++
				alive = make(chan error, 1)
				if strings.HasPrefix(step, "before") { // while the statement is on its way
					go func() { alive <- errors.Join(server.Kill9(), server.Restart(context.Background())) }()
					return nil
				}
				alive <- errors.Join(server.Kill9(), server.Restart(context.Background()))
			}
			return nil
		}
		batch := f.inserts(tg, fmt.Sprintf("round %d", at), ids...)
		for {
			err := s.Apply(t.Context(), batch)
			if killed && alive != nil {
				if err := <-alive; err != nil {
					t.Fatal(err)
				}
				alive = nil
			}
			if err == nil {
				break
			}
			if c := sinks.ClassOf(err); c != sinks.Retry {
				t.Fatalf("round %d: %v is of class %s", at, err, c)
			}
		}
		want := fmt.Sprintf("250/250/round %d", at)
		if got := d.text(t, "SELECT toString(count()) || '/' || toString(uniqExact(Id)) || '/' || arrayStringConcat(groupUniqArray(assumeNotNull(Name)), ',') FROM Items"); got != want {
			t.Fatalf("shown after kill %d: %s, want %s", kills, got, want)
		}
		if m, err := s.Applied(t.Context(), streamName); err != nil || m != batch.Mark {
			t.Fatalf("applied %v, %v", m, err)
		}
		if !killed {
			break
		}
	}
	t.Logf("%d kills", kills)
}

// TestTableSettings: a sorting key and a partitioning of one's own, and those that would be wrong.
func TestTableSettings(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg := items()
	for _, c := range []struct {
		name     string
		settings TableSettings
		refused  string
	}{
		{"partition by another column", TableSettings{PartitionBy: "length(Name)"}, "no key column"},
		{"order by another column", TableSettings{OrderBy: []string{"Id", "Name"}}, "order_by"},
		{"good ones", TableSettings{OrderBy: []string{"Id"}, PartitionBy: "intDiv(Id, 10)", Settings: []string{"index_granularity = 1024"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := d.config("x")
			cfg.Tables = map[string]TableSettings{"Items": c.settings}
			s := d.openNamed(t, cfg)
			err := s.Prepare(t.Context(), streamName, []sinks.Target{tg})
			if c.refused != "" {
				if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("prepare: %v, want a stop that says %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f := &feed{}
			f.load(t, s, tg)
			mustApply(t, s, f.inserts(tg, "a", 1, 11, 21), f.inserts(tg, "b", 11))
			if got := d.text(t, shownSQL); got != "1:a 11:b 21:a" {
				t.Errorf("shown: %s", got)
			}
			if got := d.text(t, "SELECT toString(uniqExact(partition)) FROM system.parts WHERE table = 'Items_versions' AND active AND database = currentDatabase()"); got != "3" {
				t.Errorf("%s partitions, want 3", got)
			}
		})
	}
}

// TestReader: a range is read at one position, and not while a batch is half written.
func TestReader(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg, f := items(), &feed{}
	s := d.openNamed(t, d.config("x"))
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	batch := f.inserts(tg, "a", 1, 2, 3)
	mustApply(t, s, batch)
	r, err := NewReader(d.config("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	rng := change.KeyRange{Lo: change.KeyOf(change.IntValue(2)), HasLo: true}
	rows, at, err := r.Range(t.Context(), streamName, tg, rng)
	if err != nil || len(rows) != 2 || at != batch.Mark.Position {
		t.Fatalf("read %v at %v: %v", rows, at, err)
	}
	s.hook = func(step string) error {
		if step == "after block" {
			return errors.New("crash")
		}
		return nil
	}
	next := f.inserts(tg, "b", 2, 4)
	if err := s.Apply(t.Context(), next); err == nil {
		t.Fatal("it did not crash")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Range(ctx, streamName, tg, rng); err == nil {
		t.Error("a half-written batch was read")
	}
	s.hook = nil
	mustApply(t, s, next)
	if rows, at, err = r.Range(t.Context(), streamName, tg, rng); err != nil || len(rows) != 3 || at != next.Mark.Position {
		t.Errorf("read %v at %v: %v", rows, at, err)
	}
}

// TestRemains: what a sink leaves is named, and purged.
func TestRemains(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	tg, f := items(), &feed{}
	s := d.openNamed(t, d.config("x"))
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	cfg := d.config("x")
	want := fmt.Sprintf("[`%[1]s`.`Items` `%[1]s`.`Items_versions` `%[1]s`.`cdc_progress` `%[1]s`.`cdc_quarantine`]", d.name)
	if got, err := Remains(t.Context(), cfg, streamName); err != nil || fmt.Sprint(got) != want {
		t.Errorf("remains %v, %v; want %s", got, err, want)
	}
	if got, err := Purge(t.Context(), cfg, streamName); err != nil || fmt.Sprint(got) != want {
		t.Errorf("purged %v, %v; want %s", got, err, want)
	}
	if left := d.text(t, "SELECT name FROM system.tables WHERE database = currentDatabase()"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestAccess: refused credentials, and a database that is not there, say the way out.
func TestAccess(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	cfg := d.config("x")
	cfg.Password = "wrong"
	err := d.openNamed(t, cfg).Prepare(t.Context(), streamName, nil)
	var stop *sinks.StopError
	if !errors.As(err, &stop) || !stop.Access || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("a wrong password: %v, want a stop about access", err)
	}
	cfg = d.config("x")
	cfg.Database = "nowhere"
	if err := d.openNamed(t, cfg).Prepare(t.Context(), streamName, nil); !errors.As(err, &stop) || !strings.Contains(err.Error(), "create the database") {
		t.Errorf("a database that is not there: %v", err)
	}
	d.proxy.Refuse()
	s := d.open(t, sinktest.Options{Reader: "x"})
	if err := s.Prepare(t.Context(), streamName, nil); sinks.ClassOf(err) != sinks.Retry {
		t.Errorf("a server that is down: %v, want a retry", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
