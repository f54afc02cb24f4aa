package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// addSink writes a second sink into the configuration: the same view, and the source's tables.
func (s *scene) addSink(name, database, deliver string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	more := fmt.Sprintf(`  %s:
    type: postgres
    host: %s
    port: %d
    database: %s
    user: %s
    password: ${env:E2E_SINK}
    tls: {mode: disable}
    deliver: %s
`, name, s.sink.Host, s.sink.Port, database, s.sink.User, deliver)
	if err := os.WriteFile(s.config(), append(text, more...), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) must(args ...string) string {
	s.t.Helper()
	status, out := s.run(args...)
	if status != 0 {
		s.t.Fatalf("cdc %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

func (s *scene) sinkState(name string) admin.Sink {
	s.t.Helper()
	st, err := s.client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(st.Sinks, func(k admin.Sink) bool { return k.Name == name })
	if i < 0 {
		return admin.Sink{}
	}
	return st.Sinks[i]
}

// equal verifies everything at every sink.
func (s *scene) equal(want ...string) {
	s.t.Helper()
	report, err := s.client.Verify(s.t.Context(), admin.VerifyRequest{TimeoutSeconds: 120}, func(admin.VerifyProgress) {})
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, r := range report.Results {
		got = append(got, r.Sink+"/"+r.View)
		if !r.Equal() || r.Rows == 0 {
			s.t.Errorf("%s/%s: %d rows, %d different, %d unsettled, first %+v", r.Sink, r.View, r.Rows, r.Different, r.Unsettled, r.Differences[:min(3, len(r.Differences))])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("compared %v, want %v", got, want)
	}
}

// Sinks come, pause, go on, and go while the daemon runs: nothing is read again of the source for a view, the
// tables of a raw sink follow the source's shapes, and the other sink goes on.
func TestSinksComeAndGo(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	exec := func(statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := s.db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	exec("CREATE DATABASE shop",
		"CREATE TABLE shop.article (id INT PRIMARY KEY, price DECIMAL(10,2))",
		"CREATE TABLE shop.line (id INT PRIMARY KEY, article INT)",
		"CREATE TABLE shop.heap (n INT)",
		"INSERT INTO shop.article VALUES (1, 1.10), (2, 2.20)",
		"INSERT INTO shop.line VALUES (1, 1), (2, 2), (3, NULL)")
	s.tables = append(s.tables, "shop.*")
	s.exclude = append(s.exclude, "shop.heap")
	s.view("line_price.sql", "CREATE VIEW LinePrice AS SELECT l.id, a.price FROM shop.line l LEFT JOIN shop.article a ON a.id = l.article", "LinePrice")
	s.configure()
	s.start()
	s.waitShown(time.Minute)

	mars := s.sink.CreateDatabase(t)
	s.addSink("mars", mars, `[{from: view/LinePrice, to: Prices, delete: soft}, {from: "table/shop.*"}]`)
	if out := s.must("reload"); !strings.Contains(out, "applied  sinks.mars: (none) -> (added)") {
		t.Errorf("reload: %s", out)
	}
	s.waitShown(time.Minute)
	s.equal("mars/LinePrice", "mars/shop.article", "mars/shop.line", "neptune/LinePrice")

	exec("ALTER TABLE shop.article ADD COLUMN name VARCHAR(20) DEFAULT 'none'", "UPDATE shop.article SET name = 'one' WHERE id = 1",
		"CREATE TABLE shop.fresh (id INT PRIMARY KEY, t TEXT)", "INSERT INTO shop.fresh VALUES (1, 'x')", "DELETE FROM shop.line WHERE id = 1")
	s.waitShown(time.Minute)
	s.equal("mars/LinePrice", "mars/shop.article", "mars/shop.fresh", "mars/shop.line", "neptune/LinePrice")

	if out := s.must("sink", "pause", "mars"); out != "sink mars is paused\n" {
		t.Errorf("pause: %s", out)
	}
	exec("INSERT INTO shop.line VALUES (9, 1)")
	if status, out := s.run("wait", "--timeout", "5s"); status != 2 || !strings.Contains(out, "mars is paused") {
		t.Errorf("wait beside a paused sink: status %d, %s", status, out)
	}
	s.must("wait", "--sink", "neptune", "--timeout", "60s")
	s.stop()
	s.start()
	eventually(t, time.Minute, "the daemon answers", func(ctx context.Context) bool {
		_, err := s.client.Status(ctx)
		return err == nil
	})
	if k := s.sinkState("mars"); k.State != "paused" {
		t.Errorf("after a restart the paused sink is %s", k.State)
	}
	s.must("sink", "resume", "mars")
	s.waitShown(time.Minute)
	s.equal("mars/LinePrice", "mars/shop.article", "mars/shop.fresh", "mars/shop.line", "neptune/LinePrice")

	s.must("pause")
	eventually(t, time.Minute, "the stages end", func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		return err == nil && !st.Source.Connected
	})
	exec("INSERT INTO shop.line VALUES (10, 1)")
	s.must("resume")
	s.waitShown(time.Minute)
	s.equal("mars/LinePrice", "mars/shop.article", "mars/shop.fresh", "mars/shop.line", "neptune/LinePrice")

	s.resyncSink(mars)

	out := s.must("sink", "drop", "mars", "--purge")
	for _, gone := range []string{`"public"."Prices"`, `"public"."article"`, `"public"."fresh"`, `"public"."line"`, `"public"."cdc_progress"`} {
		if !strings.Contains(out, "deleted  "+gone+"\n") {
			t.Errorf("drop --purge does not tell of %s: %s", gone, out)
		}
	}
	if strings.Contains(out, "remains") {
		t.Errorf("drop --purge: %s", out)
	}
	s.configure()
	if out := s.must("reload"); !strings.Contains(out, "applied  sinks.mars: (present) -> (removed)") {
		t.Errorf("reload: %s", out)
	}
	if k := s.sinkState("mars"); k.Name != "" {
		t.Errorf("the removed sink is still there: %+v", k)
	}
	s.waitShown(time.Minute)
	s.equal("neptune/LinePrice")
}

// breakRows changes rows of a destination behind the daemon's back.
func (s *scene) breakRows(database string, statements ...string) {
	s.t.Helper()
	c, err := pgx.Connect(s.t.Context(), s.sink.DSN(database))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(s.t.Context())
	for _, q := range statements {
		if _, err := c.Exec(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

// resyncSink damages a sink and puts it right: what is asked for, and at no other sink.
func (s *scene) resyncSink(mars string) {
	s.t.Helper()
	s.breakRows(mars, `DELETE FROM "Prices" WHERE id = 2`, `UPDATE "Prices" SET price = 9 WHERE id = 3`, `INSERT INTO "Prices" (id) VALUES (77)`,
		`DELETE FROM article WHERE id = 1`)
	s.breakRows(s.target, `DELETE FROM "LinePrice" WHERE id = 2`)
	if out := s.must("resync", "--sink", "mars", "--dry-run"); !strings.Contains(out, "mars/LinePrice: 3 of 4 rows would change\n") ||
		!strings.Contains(out, "mars/shop.article: 1 of 2 rows would change\n") || strings.Contains(out, "neptune") {
		s.t.Errorf("dry run: %s", out)
	}
	s.must("resync", "--sink", "mars", "--view", "LinePrice")
	s.must("resync", "--sink", "mars", "--view", "shop.article", "--keys", "1..1")
	s.waitShown(time.Minute)
	if status, out := s.run("verify", "--sink", "mars"); status != 0 {
		s.t.Errorf("verify --sink mars after its resync: status %d, %s", status, out)
	}
	if status, out := s.run("verify", "--sink", "neptune"); status != 1 || !strings.Contains(out, "1 of 4 rows") {
		s.t.Errorf("verify --sink neptune, which was not resynced: status %d, %s", status, out)
	}
	s.must("resync", "--view", "LinePrice")
	s.waitShown(time.Minute)
	s.must("verify")
}
