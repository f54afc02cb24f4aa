package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// another adds a second PostgreSQL destination with all views, in a database of its own, and returns that
// database's name.
func (s *scene) another(name string) (database string) {
	s.t.Helper()
	database = s.sink.CreateDatabase(s.t)
	s.more = append(s.more, postgresSink(name, s.sink, database, s.views))
	return database
}

// postgresSink is a sink's part of cdc.yaml.
func postgresSink(name string, server *testenv.PostgresServer, database string, views []string) string {
	deliver := make([]string, len(views))
	for i, v := range views {
		deliver[i] = fmt.Sprintf("{from: view/%s}", v)
	}
	return fmt.Sprintf(`  %s:
    type: postgres
    host: %s
    port: %d
    database: %s
    user: %s
    password: ${env:E2E_SINK}
    tls: {mode: disable}
    retry: {max_backoff: 1s}
    deliver: [%s]
`, name, server.Host, server.Port, database, server.User, strings.Join(deliver, ", "))
}

// TestDestinationStalled: a destination that takes connections and answers nothing is noticed, named and tried
// again; the others go on, and it is equal afterwards.
func TestDestinationStalled(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	s.sinkAt = proxy.Addr
	s.another("venus")
	s.start()
	s.waitShown(60 * time.Second)
	stop := s.load(1)
	defer stop()
	proxy.Stall()
	began := time.Now()
	s.notReady("neptune", "answers nothing")
	t.Logf("noticed after %s", time.Since(began).Round(time.Millisecond))
	for range 3 {
		if code, out := s.run("wait", "--sink", "venus", "--timeout", "10s"); code != 0 {
			t.Errorf("the other destination: wait ends with status %d: %s", code, out)
		}
	}
	if code, out := s.run("wait", "--sink", "neptune", "--timeout", "1s"); code != 2 {
		t.Errorf("the stalled destination: wait ends with status %d: %s", code, out)
	}
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.ready()
	stop()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
	eventually(t, 10*time.Second, "connections of given-up sessions are closed", func(context.Context) bool { return proxy.Connections() < 4 })
}
