package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/admin"
)

func TestStatus(t *testing.T) {
	d := &double{status: admin.Status{
		Name: "jupiter", Version: "v1", StartedAt: time.Now().Add(-90 * time.Second), NotReady: []string{"sink neptune is retrying"},
		Source:  admin.Source{Type: "mariadb", Version: "10.11", Address: "127.0.0.1:3306", Connected: true, Position: "0-1-7", LagSeconds: 0.5},
		Streams: []admin.Stream{{Name: "jupiter", Seq: 9}},
		Stages:  []admin.Stage{{Name: "capture", State: "running", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
		Tables:  []admin.Table{{Name: "shop.orders", State: "paused", Trouble: admin.Trouble{Error: "a column was dropped", Hint: "run cdc resync shop.orders"}}},
		Views:   []admin.View{{Name: "Flat", State: "streaming", Key: []string{"id", "line"}}},
		Sinks: []admin.Sink{{Name: "neptune", Type: "postgres", State: "retrying", Seq: 8, LagSeconds: 2, LagTransactions: 1, Covers: []string{"c1"}},
			{Name: "venus", Type: "postgres", State: "starting", LagUnknown: true}},
		Covers: []admin.Cover{{ID: "c1", Kind: "load", State: "running", Rows: 10, Of: 20, Tables: []string{"shop.orders"}}},
	}}
	p, cfg := serve(t, d)
	o := execute(t.Context(), p, append(cfg, "status")...)
	want := `jupiter  cdc v1, up 1m30s, not ready: sink neptune is retrying
source  mariadb 10.11 at 127.0.0.1:3306, connected, at 0-1-7, lag 500ms

STREAM   SEQ  POSITION
jupiter  9    -

STAGE    STATE    SINCE
capture  running  2026-01-02T03:04:05Z

TABLE        STATE   COVERED FROM
shop.orders  paused  -
shop.orders: a column was dropped
    run cdc resync shop.orders

VIEW  STATE      KEY
Flat  streaming  id, line

SINK     TYPE      STATE     SEQ  LAG  BEHIND  QUARANTINED  COVERS
neptune  postgres  retrying  8    2s   1       0            c1
venus    postgres  starting  0    -    -       0            -

COVER  KIND  STATE    ROWS  OF  TABLES
c1     load  running  10    20  shop.orders
`
	if diff := cmp.Diff(outcome{exitNo, want, ""}, o, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.status.Ready, d.status.NotReady = true, nil
	o = execute(t.Context(), p, append(cfg, "status", "--json")...)
	var st admin.Status
	if err := json.Unmarshal([]byte(o.stdout), &st); err != nil || o.status != exitOK || st.Sinks[0].Seq != 8 {
		t.Errorf("--json: %v\n%s", err, o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := execute(ctx, p, append(cfg, "status", "--watch")...); o.status != exitOK {
		t.Errorf("--watch, interrupted: %s", o)
	}
}

func TestWait(t *testing.T) {
	p, cfg := serve(t, &double{})
	o := execute(t.Context(), p, append(cfg, "wait")...)
	if o.status != exitOK || o.stdout != "neptune shows 0-1-9\nreached 0-1-9 in 250ms\n" {
		t.Errorf("%s", o)
	}
	o = execute(t.Context(), p, append(cfg, "wait", "--sink", "stuck", "--timeout", "30ms")...)
	if o.status != exitUnknown || !strings.Contains(o.stderr, "wait for sink stuck: context deadline exceeded") {
		t.Errorf("timeout: %s", o)
	}
}

func TestReload(t *testing.T) {
	d := &double{reload: admin.ReloadReport{
		Applied: []admin.Change{{Path: "log.level", Old: "info", New: "debug"}},
		Restart: []admin.Change{{Path: "source.host", Old: "a", New: "b"}},
	}}
	d.reload.Contracts = []admin.ContractChange{{Stream: "Flat", What: "changed"}}
	p, cfg := serve(t, d)
	o := execute(t.Context(), p, append(cfg, "reload")...)
	if o.status != exitOK || o.stdout != "applied  log.level: info -> debug\napplied  contract of Flat: changed\nneeds a restart  source.host: a -> b\n" {
		t.Errorf("%s", o)
	}
	d.reload = admin.ReloadReport{Contracts: d.reload.Contracts}
	o = execute(t.Context(), p, append(cfg, "reload")...)
	if o.status != exitOK || o.stdout != "applied  contract of Flat: changed\n" {
		t.Errorf("a contract alone: %s", o)
	}
	d.reload = admin.ReloadReport{Refused: []string{"cdc.yaml:3:1: sorce: unknown key"}}
	o = execute(t.Context(), p, append(cfg, "reload")...)
	if o.status != exitNo || o.stderr != "cdc.yaml:3:1: sorce: unknown key\nnothing was applied\n" {
		t.Errorf("refused: %s", o)
	}
	d.err = admin.Refused("a reload is under way", "wait for it")
	o = execute(t.Context(), p, append(cfg, "reload")...)
	if o.status != exitUnknown || o.stderr != "cdc: a reload is under way (wait for it)\n" {
		t.Errorf("error: %s", o)
	}
}

func TestVerify(t *testing.T) {
	equal := admin.VerifyResult{Sink: "neptune", View: "Flat", Rows: 7, Digest: "abc", Position: "0-1-9", Seq: 4, Seconds: 0.5}
	with := func(change func(*admin.VerifyResult)) admin.VerifyReport {
		r := equal
		change(&r)
		return admin.VerifyReport{Results: []admin.VerifyResult{r}}
	}
	different := func(r *admin.VerifyResult) {
		r.Different, r.Columns = 2, []string{"id", "name"}
		r.Differences = []admin.Difference{{Key: "1", Source: []string{"1", `"a"`}, Sink: nil}}
	}
	tests := []struct {
		name   string
		report admin.VerifyReport
		args   []string
		status int
		out    string
	}{
		{"equal", with(func(*admin.VerifyResult) {}), nil, 0, "neptune/Flat: equal: 7 rows, digest abc, at 0-1-9 (seq 4), 500ms\n"},
		{"different", with(different), nil, 1,
			"neptune/Flat: DIFFERENT: 2 of 7 rows, 0 unsettled\n    key 1\n        source: id=1  name=\"a\"\n        neptune: (no such row)\n    and 1 more\n"},
		{"unsettled", with(func(r *admin.VerifyResult) { r.Unsettled = 1 }), nil, 2, "neptune/Flat: unsettled: 1 of 7 rows never held still\n    and 1 more\n"},
		{"quarantined", with(func(r *admin.VerifyResult) { r.Quarantined = 3 }), nil, 1,
			"neptune/Flat: equal: 7 rows, digest abc, at 0-1-9 (seq 4), 500ms\n    quarantined: 3\n"},
		{"quarantined, allowed", with(func(r *admin.VerifyResult) { r.Quarantined = 3 }), []string{"--allow-quarantined"}, 0,
			"neptune/Flat: equal: 7 rows, digest abc, at 0-1-9 (seq 4), 500ms\n    quarantined: 3\n"},
		{"failed", with(func(r *admin.VerifyResult) { r.Error, r.Hint = "no connection", "start it" }), nil, 2,
			"neptune/Flat: could not be compared\n    no connection\n    start it\n"},
		{"nothing", admin.VerifyReport{}, nil, 2, "there is nothing to compare: no sink delivers a view\n"},
	}
	d := &double{}
	p, cfg := serve(t, d)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.verify = tt.report
			o := execute(t.Context(), p, append(append(cfg[:2:2], "verify"), tt.args...)...)
			if diff := cmp.Diff(outcome{tt.status, tt.out, ""}, o, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResync(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	running := admin.Cover{ID: "c1", Kind: "resync", State: "running", Tables: []string{"sakila.film"}, Rows: 10, Of: 1000}
	done := admin.Cover{ID: "c1", Kind: "resync", State: "done", Tables: []string{"sakila.film"}, Rows: 1000, Chunks: 2, Started: at, Ended: at.Add(time.Second)}
	d := &double{covers: [][]admin.Cover{{running}, {done}}}
	p, cfg := serve(t, d)
	o := execute(t.Context(), p, append(cfg, "resync", "sakila.film", "--keys", "1..9")...)
	if o.status != exitOK || o.stdout != "sakila.film: 1000 rows in 2 chunks, 1s\n" {
		t.Errorf("%s", o)
	}
	if diff := cmp.Diff(admin.ResyncRequest{Tables: []string{"sakila.film"}, Keys: "1..9"}, d.asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	o = execute(t.Context(), p, append(cfg, "resync", "--all", "--dry-run")...)
	if o.status != exitOK || o.stdout != "would read about 1000 rows of sakila.film\n" || !d.asked.All {
		t.Errorf("dry run: %s", o)
	}
	d.covers = [][]admin.Cover{{}}
	if o = execute(t.Context(), p, append(cfg, "resync", "sakila.film")...); o.status != exitUnknown || !strings.Contains(o.stderr, "does not know the resync c1 any more") {
		t.Errorf("forgotten: %s", o)
	}
	failed := running
	failed.State, failed.Trouble = "failed", admin.Trouble{Error: "the table is gone"}
	d.covers = [][]admin.Cover{{failed}}
	if o = execute(t.Context(), p, append(cfg, "resync", "sakila.film")...); o.status != exitNo || o.stdout != "sakila.film: failed\n    the table is gone\n" {
		t.Errorf("failed: %s", o)
	}
	if o = execute(t.Context(), p, append(cfg, "resync", "sakila.film", "--all")...); o.status != exitUnknown ||
		o.stderr != "cdc: tables, --view or --sink, and --all exclude each other (name one of them)\n" {
		t.Errorf("both: %s", o)
	}
}

// The daemon is found although its file has been broken since.
func TestBrokenFile(t *testing.T) {
	d := &double{status: admin.Status{Name: "jupiter", Ready: true}}
	p, cfg := serve(t, d)
	if err := os.WriteFile(cfg[1], []byte("data_dir: data\nsorce: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := execute(t.Context(), p, append(cfg, "status", "--json")...); o.status != exitOK {
		t.Errorf("%s", o)
	}
}

// S5: exit statuses of the daemon.
func TestRunStatus(t *testing.T) {
	p, cfg := serve(t, &double{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"ends when asked", ended, context.Canceled, 0},
		{"drained", ended, nil, 0},
		{"stopped on a condition", t.Context(), errors.New("the log is gone"), 1},
		{"could not start", t.Context(), withStatus(exitUnknown, errors.New("access denied")), 2},
		{"data folder in use", t.Context(), fmt.Errorf("start: %w", admin.ErrOtherDaemon), 3},
		{"fenced", t.Context(), withStatus(exitFenced, errors.New("another writes")), 3},
		{"canceled from inside", t.Context(), context.Canceled, 1},
	}
	for _, tt := range tests {
		p.deps.daemon = func(_ context.Context, d daemon) error {
			if d.Config == nil || d.Log == nil || d.Metrics == nil || d.Level == nil || d.Load == nil {
				t.Errorf("daemon lacks something: %+v", d)
			}
			return tt.err
		}
		if o := execute(tt.ctx, p, append(cfg, "run")...); o.status != tt.want {
			t.Errorf("%s: %s", tt.name, o)
		}
	}
	if o := execute(t.Context(), p, append(cfg, "run", "--standby")...); o.status != exitUnknown || !strings.Contains(o.stderr, "run.standby: comes with a later version") {
		t.Errorf("standby: %s", o)
	}
}

func TestWatchFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cdc.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	ctx, cancel := context.WithCancel(t.Context())
	tick, done := make(chan time.Time), make(chan struct{})
	changes := 0
	go func() {
		defer close(done)
		watchFile(ctx, file, tick, func() { changes++ })
	}()
	tick <- time.Time{} // looks at "a" and goes on waiting
	write("a")          // written again, not changed
	tick <- time.Time{}
	tick <- time.Time{} // received: the look before is over
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	tick <- time.Time{}
	tick <- time.Time{}
	write("b")
	tick <- time.Time{}
	tick <- time.Time{}
	cancel()
	<-done
	if changes != 1 {
		t.Errorf("%d changes were seen, want 1", changes)
	}
}

// SIGHUP reaches the daemon, and nothing is left running after it.
func TestReloadAsks(t *testing.T) {
	p, cfg := serve(t, &double{})
	hangup := make(chan os.Signal, 1)
	p.hangup = hangup
	p.deps.daemon = func(ctx context.Context, d daemon) error {
		hangup <- syscall.SIGHUP
		select {
		case <-d.Hangup:
		case <-ctx.Done():
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if o := execute(ctx, p, append(cfg, "run")...); o.status != exitOK || ctx.Err() != nil {
		t.Errorf("%s", o)
	}
}

func TestProgressLines(t *testing.T) {
	var out strings.Builder
	now := time.Unix(100, 0)
	p := &progress{out: &out, now: func() time.Time { return now }, from: now, last: map[string]time.Time{}}
	for range 25 {
		now = now.Add(time.Second)
		p.show("film", uint64(now.Unix()-100), 100)
	}
	p.show("other", 5, 0)
	p.end()
	if want := "film: 10 of about 100 rows\nfilm: 20 of about 100 rows\nother: 5 rows\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}
