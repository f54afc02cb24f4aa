package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestSinkFilledAlone: a sink that is added to a running daemon is filled by a cover for it alone. For views the
// source is asked for no row; for its tables it is. The other destinations execute no statement that touches what they
// hold: SQL Server's double writes down what it is asked, PostgreSQL counts what is read and written of each table.
func TestSinkFilledAlone(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t))
	s.own("shop")
	for _, q := range []string{
		"CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, n INT)",
		"INSERT INTO shop.line WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 500) SELECT i, i FROM s",
	} {
		if _, err := s.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.n FROM shop.line l", "Line")
	mars := testenv.NewSQLServer(t)
	s.more = append(s.more, sqlServerSink(t, "mars", mars.Addr, mars, mars.CreateDatabase(t), deliverViews(s.views)))
	s.start()
	s.waitShown(time.Minute)
	s.equal("mars/Line", "neptune/Line")
	if mars.Double == nil {
		t.Fatal("a server of the test's own is no double")
	}

	touched := s.touched("Line")
	for _, c := range []struct {
		name, deliver, holds string
		reads                bool
	}{
		{"venus", "[{from: view/Line}]", "venus/Line", false},
		{"lake", `[{from: "table/shop.*"}]`, "lake/shop.line", true},
	} {
		asked := s.recordSource()
		mars.Double.Record()
		s.addSink(c.name, s.sink.CreateDatabase(t), c.deliver)
		s.must("reload")
		eventually(t, time.Minute, "the new sink is filled", func(context.Context) bool {
			k := s.sinkState(c.name)
			return k.Name != "" && k.Seq > 0
		})
		s.waitShown(time.Minute)
		reads := asked()
		t.Logf("%s: the source was asked for rows %d times", c.name, len(reads))
		if (len(reads) > 0) != c.reads {
			t.Errorf("%s was filled with %d reads of the source: %q", c.name, len(reads), reads[:min(3, len(reads))])
		}
		if now := s.touched("Line"); now != touched {
			t.Errorf("%s was filled, and the table at neptune was touched: before %s, after %s", c.name, touched, now)
		}
		moves := 0
		for _, step := range mars.Double.Recorded() {
			switch {
			case strings.Contains(step.Text, "[Line]"), strings.Contains(step.Text, "[#cdc"), step.Kind == "bulk":
				t.Errorf("%s was filled, and mars was asked: %s %s", c.name, step.Kind, step.Text)
			case strings.Contains(step.Text, "cdc_progress"):
				moves++
			}
		}
		t.Logf("%s: mars moved its place %d times and did nothing else", c.name, moves)
	}
	s.equal("lake/shop.line", "mars/Line", "neptune/Line", "venus/Line")
}

// touched is what PostgreSQL has counted of a table of the destination: scans, and rows written. A session that
// idles tells its counts only after ten seconds (PGSTAT_IDLE_INTERVAL); it returns what has stood still for longer.
func (s *scene) touched(table string) (counts string) {
	s.t.Helper()
	pg := s.postgres()
	var since time.Time
	eventually(s.t, time.Minute, "what is counted of "+table+" stands still", func(ctx context.Context) bool {
		var now string
		if err := pg.QueryRow(ctx, `SELECT concat_ws(' ', seq_scan, idx_scan, n_tup_ins, n_tup_upd, n_tup_del)
			FROM pg_stat_user_tables WHERE relname = $1`, table).Scan(&now); err != nil {
			s.t.Fatal(err)
		}
		if now != counts {
			counts, since = now, time.Now()
		}
		return time.Since(since) > 11*time.Second
	})
	return counts
}

// recordSource has the source write down its statements; the function returned ends that, and tells those that read rows
// of the schema shop.
func (s *scene) recordSource() (reads func() []string) {
	s.t.Helper()
	exec := func(q string) {
		s.t.Helper()
		if _, err := s.db.ExecContext(s.t.Context(), q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
	exec("SET GLOBAL log_output = 'TABLE'")
	exec("TRUNCATE TABLE mysql.general_log")
	exec("SET GLOBAL general_log = 1")
	return func() (list []string) {
		s.t.Helper()
		exec("SET GLOBAL general_log = 0")
		rows, err := s.db.QueryContext(s.t.Context(), "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute')")
		if err != nil {
			s.t.Fatal(err)
		}
		defer rows.Close()
		seen := 0
		for rows.Next() {
			var q string
			if err := rows.Scan(&q); err != nil {
				s.t.Fatal(err)
			}
			seen++
			if plain := strings.ReplaceAll(q, "`", ""); strings.Contains(plain, "FROM shop.line") {
				list = append(list, q)
			}
		}
		if err := rows.Err(); err != nil {
			s.t.Fatal(err)
		}
		if seen == 0 {
			s.t.Error("the source wrote down no statement at all")
		}
		return list
	}
}
