package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestLatency measures how long commits take to be visible at each of four destinations under a steady load, and what
// a batch costs there. Figures are reported, not asserted; the doubles and the engine's edge share the machine.
func TestLatency(t *testing.T) {
	if os.Getenv("CDC_BENCH_DIR") == "" {
		t.Skip("a measurement, not a test: make bench sets CDC_BENCH_DIR")
	}
	s := newScene(t, testenv.MariaDB(t)).sakila(1)
	deliver := deliverViews(s.views)
	legs := []*destination{
		s.ownPostgres(), onSQLServer(t, "mars", deliver), onSQLServer(t, "venus", deliver), onClickHouse(t, "clickhouse", deliver),
	}
	var looks []sample.Look
	cost := make([]looked, len(legs))
	for i, leg := range legs {
		if i > 0 {
			s.more = append(s.more, leg.settings)
		}
		looks = append(looks, cost[i].timed(leg.look))
	}
	s.start()
	s.waitShown(2 * time.Minute)
	before := s.metrics()

	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	load := sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: 1, Workers: 4, RatePerSecond: 150})
	probe := sample.NewProbe(s.db, "sakila", sample.ProbeOptions{Interval: 100 * time.Millisecond, Drain: 30 * time.Second})
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := load.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("load: %v", err)
		}
	})
	behind := map[string]float64{}
	work.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			m := s.metrics()
			for _, leg := range legs {
				behind[leg.name] = max(behind[leg.name], m.sum("cdc_sink_lag_transactions", fmt.Sprintf("sink=%q", leg.name)))
			}
			<-tick.C
		}
	})
	sums, err := probe.Run(ctx, looks...)
	if err != nil {
		t.Fatal(err)
	}
	work.Wait()
	s.waitShown(2 * time.Minute)
	m := s.metrics()
	st := load.Stats()
	var out strings.Builder
	fmt.Fprintf(&out, "%d transactions, %d rows, %.0f rows/s; load average %s\n", st.Transactions, st.Rows, st.PerSecond(), loadAverage())
	for i, leg := range legs {
		label := fmt.Sprintf("sink=%q", leg.name)
		diff := func(name string) float64 { return m.sum(name, label) - before.sum(name, label) }
		n := diff("cdc_sink_apply_seconds_count")
		fmt.Fprintf(&out, "%-11s %s; %.0f batches, %.1f rows and %.0f ms each; at most %.0f units behind; a look takes %s\n", leg.name, sums[i],
			n, diff("cdc_sink_rows_total")/n, 1000*diff("cdc_sink_apply_seconds_sum")/n, behind[leg.name], cost[i].mean())
	}
	t.Log("\n" + out.String())
}

// looked is how long looks take, which is part of what a probe measures.
type looked struct {
	n    int
	took time.Duration
}

func (l *looked) timed(look sample.Look) sample.Look {
	return func(ctx context.Context) (int64, error) {
		began := time.Now()
		n, err := look(ctx)
		l.n, l.took = l.n+1, l.took+time.Since(began)
		return n, err
	}
}

func (l *looked) mean() time.Duration {
	return (l.took / time.Duration(max(1, l.n))).Round(time.Millisecond)
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:1], "")
}
