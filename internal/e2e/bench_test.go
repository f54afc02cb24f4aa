package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// measured is one line of the benchmark.
type measured struct {
	Name string `json:"name"`
	// Rows are row changes of the source; Seconds is wall time, CPU user and system time of the daemon.
	Rows       int64   `json:"rows"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	// PeakMiB is the daemon's VmHWM.
	PeakMiB int64 `json:"peak_rss_mib"`
}

func (m measured) perSecond() float64     { return float64(m.Rows) / m.Seconds }
func (m measured) cpuPerMillion() float64 { return m.CPUSeconds / float64(m.Rows) * 1e6 }

// TestBench measures the program as a whole: a first load, and catching up with a backlog of the binlog, with
// capture alone, with the join, and with the destination. make bench runs it; figures are reported, not
// asserted.
func TestBench(t *testing.T) {
	dir := os.Getenv("CDC_BENCH_DIR")
	if dir == "" {
		t.Skip("a measurement, not a test: make bench sets CDC_BENCH_DIR")
	}
	scale, err := strconv.ParseFloat(os.Getenv("CDC_BENCH_SCALE"), 64)
	if err != nil {
		scale = 10
	}
	var lines []measured
	for _, run := range []struct {
		name       string
		join, sink bool
	}{{"capture", false, false}, {"capture + join", true, false}, {"capture + join + apply", true, true}} {
		lines = append(lines, benchRun(t, run.name, scale, run.join, run.sink)...)
	}
	b, err := json.MarshalIndent(map[string]any{"hardware": hardware(), "at": time.Now().UTC(), "lines": lines}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	var md strings.Builder
	fmt.Fprintf(&md, "%s\n\n| run | rows | rows/s | CPU s per million rows | peak RSS |\n|---|---|---|---|---|\n", hardware())
	for _, l := range lines {
		fmt.Fprintf(&md, "| %s | %d | %.0f | %.1f | %d MiB |\n", l.Name, l.Rows, l.perSecond(), l.cpuPerMillion(), l.PeakMiB)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline.md"), []byte(md.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + md.String())
}

func benchRun(t *testing.T, name string, scale float64, join, sink bool) []measured {
	s := newScene(t, testenv.MariaDB(t)).sakila(scale)
	if !join {
		if err := os.RemoveAll(filepath.Join(s.dir, "views")); err != nil {
			t.Fatal(err)
		}
	}
	if !sink {
		s.sets = append(s.sets, "sinks.neptune.enabled=false")
	}
	var rows int64
	count := func(query string) int64 {
		var n int64
		if err := s.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, table := range []string{"rental", "payment", "customer", "inventory", "film", "film_category", "film_actor"} {
		rows += count("SELECT count(*) FROM sakila." + table)
	}
	first := s.timed(name+", first load", rows, join, sink)
	s.stop()
	// The backlog: each statement is one transaction of many rows, as a batch job writes them.
	var changed int64
	for range 3 {
		for _, statement := range []string{"UPDATE sakila.payment SET amount = amount + 0.01", "UPDATE sakila.rental SET rental_date = rental_date + INTERVAL 1 SECOND"} {
			res, err := s.db.ExecContext(t.Context(), statement)
			if err != nil {
				t.Fatal(err)
			}
			n, err := res.RowsAffected()
			if err != nil {
				t.Fatal(err)
			}
			changed += n
		}
	}
	backlog := s.timed(name+", backlog", changed, join, sink)
	s.stop()
	return []measured{first, backlog}
}

// timed starts the daemon and measures it until everything of the source is through the stages that run.
func (s *scene) timed(name string, rows int64, join, sink bool) measured {
	s.t.Helper()
	now := currentGTID(s.t, s)
	began := time.Now()
	s.start()
	eventually(s.t, 10*time.Minute, "the stages have everything", func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		if err != nil || len(st.Streams) < 2 {
			return false
		}
		for _, c := range st.Covers {
			if c.State != "done" {
				return false
			}
		}
		ok := st.Streams[0].Position == now && len(st.Covers)+int(st.Streams[0].Seq) > 0
		if join {
			ok = ok && st.Streams[1].Position == now
		}
		if sink {
			ok = ok && len(st.Sinks) > 0 && st.Sinks[0].Position == now && len(st.Sinks[0].Covers) == 0
		}
		return ok
	})
	m := measured{Name: name, Rows: rows, Seconds: time.Since(began).Seconds()}
	m.CPUSeconds, m.PeakMiB = processFigures(s.t, s.daemon.Process.Pid)
	return m
}

func currentGTID(t *testing.T, s *scene) (gtid string) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), "SELECT @@global.gtid_binlog_pos").Scan(&gtid); err != nil {
		t.Fatal(err)
	}
	return gtid
}

// processFigures reads CPU seconds and peak memory of a process.
func processFigures(t *testing.T, pid int) (cpu float64, peakMiB int64) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, i := range []int{11, 12} { // utime, stime in clock ticks of 10 ms
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			t.Fatal(err)
		}
		cpu += n / 100
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			peakMiB = kib / 1024
		}
	}
	return cpu, peakMiB
}

func hardware() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), ":"))
				break
			}
		}
	}
	return fmt.Sprintf("%d cores (%s), %s, %s/%s; source, destination and daemon on the same machine", runtime.NumCPU(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// TestBigTransaction: a transaction of very many rows passes in bounded memory. The full size is measured by
// make bench; here it is smaller.
func TestBigTransaction(t *testing.T) {
	rows := 100_000
	if n, err := strconv.Atoi(os.Getenv("CDC_TEST_BIG_ROWS")); err == nil {
		rows = n
	}
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05)
	s.start()
	s.waitShown(90 * time.Second)
	db, err := s.source.Open("sakila")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), fmt.Sprintf(`INSERT INTO sakila.payment (customer_id, staff_id, rental_id, amount, payment_date)
SELECT customer_id, staff_id, rental_id, seq %% 100, rental_date FROM sakila.rental CROSS JOIN seq_1_to_%d
WHERE rental_id <= 500 AND rental_id > 0 LIMIT %d`, rows/400, rows))
	if err != nil {
		t.Fatal(err)
	}
	s.waitShown(10 * time.Minute)
	s.verify()
	cpu, peak := processFigures(t, s.daemon.Process.Pid)
	t.Logf("%d rows in one transaction: peak RSS %d MiB, CPU %.1f s", rows, peak, cpu)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
