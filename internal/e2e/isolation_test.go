package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// One destination is down for the whole run: the other's lag is what it was with both, whatever kind of database it
// is that is away. (Invariant I6.)
func TestOneDestinationDown(t *testing.T) {
	// Each is the sink mars, reached through a proxy.
	for kind, settings := range map[string]func(t *testing.T, s *scene) (*testenv.Proxy, string){
		"postgres": func(t *testing.T, s *scene) (*testenv.Proxy, string) {
			proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
			behind := *s.sink
			behind.Server = &testenv.Server{Host: "127.0.0.1", Port: portOf(t, proxy.Addr)}
			return proxy, postgresSink("mars", &behind, s.sink.CreateDatabase(t), s.views)
		},
		"sqlserver": func(t *testing.T, s *scene) (*testenv.Proxy, string) {
			server := testenv.SQLServer(t)
			proxy := testenv.NewProxy(t, server.Addr)
			return proxy, sqlServerSink(t, "mars", proxy.Addr, server, server.CreateDatabase(t), deliverViews(s.views))
		},
		"clickhouse": func(t *testing.T, s *scene) (*testenv.Proxy, string) {
			server := testenv.ClickHouse(t)
			proxy := testenv.NewProxy(t, server.Addr)
			return proxy, clickHouseSink(t, "mars", proxy.Addr, server, clickHouseDatabase(t, server), deliverViews(s.views))
		},
	} {
		t.Run(kind, func(t *testing.T) { testOneDown(t, settings) })
	}
}

func testOneDown(t *testing.T, settings func(*testing.T, *scene) (*testenv.Proxy, string)) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	for _, q := range []string{"CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.line VALUES (0, 0)"} {
		if _, err := s.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.n FROM shop.line l", "Line")
	proxy, lines := settings(t, s)
	s.more = append(s.more, lines)
	s.sets = append(s.sets, "sinks.mars.retry.max_backoff=200ms")
	s.start()
	s.waitShown(time.Minute)
	both := s.lags(1, 60)
	proxy.Refuse()
	proxy.Cut()
	eventually(t, time.Minute, "the breaker of mars opens", func(context.Context) bool {
		return s.metrics().sum("cdc_sink_breaker_open", `sink="mars"`) == 1
	})
	alone := s.lags(1000, 60)
	t.Logf("from commit to visible at neptune, median and 95 %%: both up %s %s, mars down %s %s", both[30], both[57], alone[30], alone[57])
	if alone[30] > 3*both[30]+20*time.Millisecond {
		t.Errorf("with mars down the median lag of neptune is %s, with both it is %s", alone[30], both[30])
	}
	m := s.metrics()
	if m.sum("cdc_sink_up", `sink="mars"`) != 0 || m.sum("cdc_sink_up", `sink="neptune"`) != 1 || m.sum("cdc_sink_retries_total", `sink="mars"`) < 5 ||
		m.sum("cdc_sink_retries_total", `sink="neptune"`) != 0 {
		t.Errorf("up of mars %v, of neptune %v; retries of mars %v, of neptune %v", m.sum("cdc_sink_up", `sink="mars"`), m.sum("cdc_sink_up", `sink="neptune"`),
			m.sum("cdc_sink_retries_total", `sink="mars"`), m.sum("cdc_sink_retries_total", `sink="neptune"`))
	}
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.waitShown(time.Minute)
	s.equal("mars/Line", "neptune/Line")
	if n := s.metrics().sum("cdc_sink_breaker_open"); n != 0 {
		t.Errorf("%v breakers are open at the end", n)
	}
}

// lags writes rows one after the other and returns, sorted, how long each took to be seen at neptune.
func (s *scene) lags(from, n int) []time.Duration {
	s.t.Helper()
	pg := s.postgres()
	var out []time.Duration
	for i := range n {
		if _, err := s.db.ExecContext(s.t.Context(), "INSERT INTO shop.line VALUES (?, 1)", from+i); err != nil {
			s.t.Fatal(err)
		}
		began := time.Now()
		for seen := false; !seen; {
			if err := pg.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT 1 FROM "Line" WHERE id = $1)`, from+i).Scan(&seen); err != nil {
				s.t.Fatal(err)
			}
			if time.Since(began) > time.Minute {
				s.t.Fatalf("row %d is not there after a minute", from+i)
			}
		}
		out = append(out, time.Since(began))
	}
	slices.Sort(out)
	return out
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}
