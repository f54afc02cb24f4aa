package clickhouse

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// counted is a configuration whose requests are counted on their way to the server.
func (d *database) counted(t testing.TB) (Config, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.server.Addr})
	transport := &http.Transport{}
	forward.Transport = transport
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	u, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := d.config("x")
	cfg.Host = u.Hostname()
	if cfg.Port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	return cfg, &n
}

// TestRequests: what batches cost in requests. Of one block: the plan with the writer's check, the block, the Mark
// with the writer's check. Each further block: the check, the block.
func TestRequests(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	cfg, n := d.counted(t)
	cfg.BlockRows = 4
	tg, f := items(), &feed{}
	other := items()
	other.From, other.To = "Other", "Others"
	second := *other.Table
	second.ID.Name = "Other"
	other.Table = &second
	s := d.openNamed(t, cfg)
	mustPrepare(t, s, tg, other)
	c := func() *change.Cover { return &change.Cover{ID: "c", Heal: true, Tables: []string{tg.From, other.From}} }
	mustApply(t, s, f.batch(change.Begin, c()), f.batch(change.End, c()))
	both := f.inserts(tg, "b", 1)
	insertBoth := func() *change.Batch {
		return f.batch(change.Changes, nil,
			change.Event{Table: tg.Table, Op: change.Insert, After: item(1, "b")},
			change.Event{Table: other.Table, Op: change.Insert, After: item(1, "b")})
	}
	mustApply(t, s, both)
	for _, c := range []struct {
		name  string
		batch *change.Batch
		want  int64
	}{
		{"one row", f.inserts(tg, "a", 1), 3},
		{"four rows", f.inserts(tg, "a", 1, 2, 3, 4), 3},
		{"three blocks", f.inserts(tg, "a", 1, 2, 3, 4, 5, 6, 7, 8, 9), 7},
		{"two tables", insertBoth(), 5},
		{"no row", f.batch(change.Changes, nil), 1},
		{"idle", f.batch(change.Idle, nil), 1},
	} {
		before := n.Load()
		mustApply(t, s, c.batch)
		if got := n.Load() - before; got != c.want {
			t.Errorf("%s: %d requests, want %d", c.name, got, c.want)
		}
	}
}

// TestPrepareRequests: what a start asks does not grow with the number of tables; a new table costs the statements
// that make it and its view.
func TestPrepareRequests(t *testing.T) {
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	cfg, n := d.counted(t)
	count := func(stream string, targets []sinks.Target) int64 {
		before := n.Load()
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Prepare(t.Context(), stream, targets); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return n.Load() - before
	}
	few, many := make([]sinks.Target, 2), make([]sinks.Target, 12)
	for i, targets := range [][]sinks.Target{few, many} {
		for j := range targets {
			table := *items().Table
			table.ID.Name = fmt.Sprintf("Item%d_%d", i, j)
			targets[j] = sinks.Target{From: table.ID.Name, Table: &table, To: table.ID.Name}
		}
	}
	count("warm", few[:1]) // bookkeeping
	made := [2]int64{count("few", few[1:]), count("many", many)}
	if got, want := made[1]-made[0], int64(2*(len(many)-1)); got != want {
		t.Errorf("%d tables more cost %d requests more to make, want %d", len(many)-1, got, want)
	}
	again := [2]int64{count("few", few[1:]), count("many", many)}
	if again[0] != again[1] {
		t.Errorf("a start over one table takes %d requests, over %d tables %d", again[0], len(many), again[1])
	}
	t.Logf("%d and %d requests to make 1 and %d tables, %d at each later start", made[0], made[1], len(many), again[0])
	// The view that somebody dropped, or made another way, is made again.
	d.run(t, "DROP VIEW Item1_3")
	d.run(t, "CREATE OR REPLACE VIEW Item1_4 AS SELECT 1 AS Id")
	if got := count("many", many); got != again[1]+2 {
		t.Errorf("a start that makes two views again takes %d requests, want %d", got, again[1]+2)
	}
	if got := d.text(t, "SELECT toString(count()) FROM system.columns WHERE database = currentDatabase() AND table IN ('Item1_3', 'Item1_4')"); got != "6" {
		t.Errorf("the views have %s columns, want 6", got)
	}
}

// TestCheckedByPlan: the statements that write the plan and the Mark ask for the writer, and write nothing for one
// that is not it any more; a writer that is fenced between the two finds out by the second.
func TestCheckedByPlan(t *testing.T) {
	for _, step := range []string{"before plan", "before progress"} {
		t.Run(step, func(t *testing.T) {
			d := newDatabase(t, testenv.ClickHouse(t), HTTP)
			tg, f := items(), &feed{}
			older, newer := d.openNamed(t, d.config("x")), d.openNamed(t, d.config("x"))
			mustPrepare(t, older, tg)
			d.run(t, "SYSTEM STOP MERGES cdc_progress") // what is written there is counted
			f.load(t, older, tg)
			mustApply(t, older, f.inserts(tg, "first", 1))
			older.hook = func(now string) error {
				if now == step {
					older.hook = nil
					mustPrepare(t, newer, tg)
				}
				return nil
			}
			rows := func() string {
				return d.text(t, "SELECT toString(countIf(writer = '"+older.writer+"')) FROM cdc_progress")
			}
			before := ""
			batch := f.inserts(tg, "second", 2)
			if step == "before plan" {
				before = rows()
			}
			err := older.Apply(t.Context(), batch)
			if !errors.Is(err, sinks.ErrFenced) {
				t.Fatalf("the older writer: %v, want ErrFenced", err)
			}
			if got := rows(); before != "" && got != before {
				t.Errorf("the fenced writer has %s rows in cdc_progress, had %s", got, before)
			}
			if m, err := newer.Applied(t.Context(), streamName); err != nil || m == batch.Mark {
				t.Errorf("applied %v, %v", m, err)
			}
			mustApply(t, newer, batch)
			if got := d.text(t, shownSQL); got != "1:first 2:second" {
				t.Errorf("shown: %s", got)
			}
		})
	}
}
