package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// watched is what /metrics has shown so far: the largest value of each metric, and the lines that describe them.
type watched struct {
	mu   sync.Mutex
	most map[string]float64
	said map[string]bool
}

// watchMetrics reads /metrics again and again until the test ends: some gauges are not zero for a moment only.
func (s *scene) watchMetrics() *watched {
	w := &watched{most: map[string]float64{}, said: map[string]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for {
			if body, err := s.scrape(ctx); err == nil { // it may be starting
				w.add(body)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	s.t.Cleanup(func() { stop(); work.Wait() })
	return w
}

func (s *scene) scrape(ctx context.Context) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	return string(b), errors.Join(err, resp.Body.Close())
}

func (w *watched) add(body string) {
	got, err := parseMetrics(body)
	if err != nil {
		return // it was cut short
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for series, v := range got {
		name, _, _ := strings.Cut(series, "{")
		w.most[name] = max(w.most[name], v)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			w.said[strings.TrimSpace(line)] = true
		}
	}
}

// unfed returns the metrics that are not served with their kind and help, and those that were never above zero.
func (w *watched) unfed(all []telemetry.Description) (bare, zero []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range all {
		if !w.said["# HELP "+d.Name+" "+d.Help] || !w.said["# TYPE "+d.Name+" "+d.Kind] {
			bare = append(bare, d.Name)
		}
		sample := d.Name
		if d.Kind == "histogram" {
			sample += "_count"
		}
		if w.most[sample] <= 0 {
			zero = append(zero, d.Name)
		}
	}
	return bare, zero
}

// TestEveryMetric walks all metrics of the reference: each is described, and gets a sample when what it measures
// happens.
func TestEveryMetric(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, n INT)", "CREATE TABLE shop.heap (n INT)",
		"INSERT INTO shop.line WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 500) SELECT s.i + 500 * d.i, s.i FROM s JOIN s d WHERE d.i <= 8", "ANALYZE TABLE shop.line")
	s.tables, s.exclude = append(s.tables, "shop.*"), append(s.exclude, "shop.heap")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.n FROM shop.line l", "Line")
	dir := filepath.Join(s.dir, "schemas", "contracts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	contract := `{"version": 1, "stream": "Line", "rules": [{"name": "paid", "column": "n", "expr": "value >= 0"}]}`
	if err := os.WriteFile(filepath.Join(dir, "line.json"), []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	s.sinkAt = proxy.Addr
	s.sets = append(s.sets, "source.snapshot.max_rows_per_second=500", "source.snapshot.chunk_rows=250", "sinks.neptune.retry.max_backoff=200ms")
	w := s.watchMetrics()
	s.start()
	s.waitShown(2 * time.Minute)
	s.walkRows(t)
	s.walkFailures(t, proxy, w)
	s.walkCommands(t)
	s.stop()
	s.start() // the state is read from its files
	s.sourceExec("UPDATE shop.line SET n = n + 1 WHERE id BETWEEN 1000 AND 4000")
	s.waitShown(time.Minute)

	all := telemetry.NewMetrics(telemetry.Build{}).Descriptions()
	if len(all) < 40 {
		t.Fatalf("%d metrics are described", len(all))
	}
	var bare, zero []string
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		if bare, zero = w.unfed(all); len(bare)+len(zero) == 0 || time.Now().After(deadline) {
			tick.Stop()
			break
		}
	}
	if len(bare) > 0 || len(zero) > 0 {
		t.Errorf("of %d metrics these are served without their description: %v; these never got a sample: %v", len(all), bare, zero)
	}
}

// walkRows makes rows that are filtered, refused by the destination and by a contract, and holds the counters against
// each other.
func (s *scene) walkRows(t *testing.T) {
	s.sinkExec(`ALTER TABLE "Line" ADD CONSTRAINT small CHECK (n < 1000000)`)
	s.sourceExec("INSERT INTO shop.heap VALUES (1), (2)", "ALTER TABLE shop.line ADD COLUMN note VARCHAR(10)",
		"INSERT INTO shop.line (id, n) VALUES (1, 5), (2, 2000000), (3, -1)", "UPDATE shop.line SET n = 7 WHERE id BETWEEN 601 AND 605", "DELETE FROM shop.line WHERE id = 606")
	s.waitShown(time.Minute)
	m := s.metrics()
	if read, filtered := m.sum("cdc_source_rows_total", `table="shop.heap"`), m.sum("cdc_source_filtered_rows_total", `table="shop.heap"`); read != 2 || filtered != 2 {
		t.Errorf("of the table that is left out %v rows were read and %v filtered, want 2 and 2", read, filtered)
	}
	read, filtered, written := m.sum("cdc_source_rows_total"), m.sum("cdc_source_filtered_rows_total"), m.sum("cdc_stream_rows_total", `stream="`+rawStream+`"`)
	if read != filtered+written {
		t.Errorf("%v rows read, %v filtered, %v written", read, filtered, written)
	}
	out, applied, refused := m.sum("cdc_stream_rows_total", `stream="`+viewStream+`"`), m.sum("cdc_sink_rows_total"), m.sum("cdc_dlq_rows_total")
	if out != applied+refused || refused != 2 {
		t.Errorf("%v rows in the view stream, %v applied, %v refused, want 2 refused", out, applied, refused)
	}
}

// walkFailures cuts the source's session off, and the destination for a while.
func (s *scene) walkFailures(t *testing.T, proxy *testenv.Proxy, w *watched) {
	seen := func(name string) func(context.Context) bool {
		return func(context.Context) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.most[name] > 0
		}
	}
	var id int64
	eventually(t, time.Minute, "the daemon reads the log", func(ctx context.Context) bool {
		return s.db.QueryRowContext(ctx, "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'").Scan(&id) == nil
	})
	if _, err := s.db.ExecContext(t.Context(), "KILL ?", id); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the session is counted as made again", seen("cdc_source_reconnects_total"))
	proxy.Refuse()
	proxy.Cut()
	s.sourceExec("UPDATE shop.line SET n = 8 WHERE id BETWEEN 601 AND 605")
	eventually(t, time.Minute, "the breaker opens", seen("cdc_sink_breaker_open"))
	eventually(t, time.Minute, "the destination lags", seen("cdc_sink_lag_transactions"))
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.waitShown(time.Minute)
}

// walkCommands pauses, reloads and compares.
func (s *scene) walkCommands(t *testing.T) {
	s.must("sink", "pause", "neptune")
	eventually(t, time.Minute, "the pause is shown", func(context.Context) bool { return s.metrics().sum("cdc_sink_paused") == 1 })
	s.must("sink", "resume", "neptune")
	s.must("reload")
	s.waitShown(time.Minute)
	s.must("verify", "--allow-quarantined")
	s.sinkExec(`DELETE FROM "Line" WHERE id = 700`)
	if status, out := s.run("verify"); status != 1 {
		t.Errorf("verify of a destination that lacks a row: status %d, %s", status, out)
	}
	names := []string{"cdc_verify_last_success_timestamp_seconds", "cdc_verify_different_rows", "cdc_verify_quarantined_rows"}
	if m := s.metrics(); slices.ContainsFunc(names, func(name string) bool { return m.sum(name) == 0 }) {
		t.Errorf("after the comparisons: %v %v %v", m.sum(names[0]), m.sum(names[1]), m.sum(names[2]))
	}
	s.must("resync", "--view", "Line", "--keys", "700..700")
}
