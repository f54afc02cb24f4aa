package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// A table that a destination refuses stops neither the others of its stream nor the sink's other stream, costs no
// cover of theirs, is named with the way out, and is filled when somebody has mended it.
func TestRefusedTable(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	long := strings.Repeat("é", 64) // too long for PostgreSQL's names and for ClickHouse's files
	s.sourceExec("CREATE DATABASE shop",
		"CREATE TABLE shop.line (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.line VALUES (1, 1)",
		"CREATE TABLE shop.clash (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.clash VALUES (1, 1)",
		"CREATE TABLE shop.`"+long+"` (id INT PRIMARY KEY)", "INSERT INTO shop.`"+long+"` VALUES (1)")
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.n FROM shop.line l", "Line")
	s.raw = append(s.raw, `{from: "table/shop.*"}`)
	house := testenv.ClickHouse(t)
	s.more = append(s.more, clickHouseSink(t, "mars", house.Addr, house, clickHouseDatabase(t, house), `[{from: view/Line}, {from: "table/shop.*"}]`))
	s.sinkExec("CREATE TABLE clash (id INT PRIMARY KEY, n INT)", "INSERT INTO clash VALUES (7, 7)") // somebody else's
	s.start()
	s.waitShown(time.Minute)
	if k := s.sinkState("neptune"); k.State != "running" || len(k.Aside) != 2 || !strings.Contains(k.Error, "was not made for shop.clash") ||
		!strings.Contains(k.Error, "cuts names at 63 bytes") || !strings.Contains(k.Hint, "cdc sink resume neptune") {
		t.Errorf("neptune: %+v", k)
	}
	if k := s.sinkState("mars"); k.State != "running" || len(k.Aside) != 1 || !strings.Contains(k.Error, long) || !strings.Contains(k.Error, "deliver the table to a shorter name") {
		t.Errorf("mars: %+v", k)
	}
	equal := func(args ...string) {
		t.Helper()
		if status, out := s.run(append([]string{"verify", "--timeout", "60s"}, args...)...); status != 0 {
			t.Errorf("verify %v: status %d, %s", args, status, out)
		}
	}
	equal("--view", "Line")
	equal("--view", "shop.line")
	if status, out := s.run("verify", "--sink", "neptune", "--timeout", "60s"); status != 2 || !strings.Contains(out, "refuses shop.clash") {
		t.Errorf("verify of everything at neptune: status %d, %s", status, out)
	}
	covers := map[string]int{}
	st, err := s.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range st.Covers {
		covers[c.Kind]++
	}
	if covers["rebuild"] > 4 { // one of each stream for each sink
		t.Errorf("covers for one sink: %+v", st.Covers)
	}
	s.sourceExec("INSERT INTO shop.clash VALUES (2, 2)", "DELETE FROM shop.clash WHERE id = 1", "INSERT INTO shop.line VALUES (2, 2)")
	s.waitShown(time.Minute)
	equal("--view", "shop.line")

	s.sinkExec("DROP TABLE clash")
	s.must("sink", "resume", "neptune")
	eventually(t, time.Minute, "the mended table is delivered", func(context.Context) bool { return len(s.sinkState("neptune").Aside) == 1 })
	s.waitShown(time.Minute)
	equal("--view", "shop.clash")
	equal("--view", "Line")
}
