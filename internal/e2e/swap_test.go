package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// market is a scene with a table that a view reads and others that none does; all are delivered as they are too, in
// the schema raw, if asked for.
func market(t *testing.T, raw bool) *scene {
	s := newScene(t, testenv.MariaDB(t))
	s.own("mart")
	s.sourceExec("CREATE DATABASE mart",
		"CREATE TABLE mart.stall (id INT PRIMARY KEY, n INT)", "CREATE TABLE mart.other (id INT PRIMARY KEY, n INT)",
		"INSERT INTO mart.stall VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO mart.other VALUES (1, 1)")
	s.tables = append(s.tables, "mart.*")
	s.view("stalls.sql", "CREATE VIEW Stalls AS SELECT id, n FROM mart.stall", "Stalls")
	s.view("others.sql", "CREATE VIEW Others AS SELECT id, n FROM mart.other", "Others")
	if raw {
		s.raw = append(s.raw, `{from: "table/mart.*", schema: raw}`)
		s.sinkExec("CREATE SCHEMA raw")
	}
	s.start()
	s.waitShown(time.Minute)
	return s
}

// settled waits until everything is shown, and compares all that is delivered.
func (s *scene) settled(want int) {
	s.t.Helper()
	s.waitShown(time.Minute)
	s.ready()
	report, err := s.client.Verify(s.t.Context(), admin.VerifyRequest{TimeoutSeconds: 60}, func(admin.VerifyProgress) {})
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, r := range report.Results {
		names = append(names, fmt.Sprintf("%s:%d", r.View, r.Rows))
		if !r.Equal() {
			s.t.Errorf("%s: %d rows, %d different, %d unsettled", r.View, r.Rows, r.Different, r.Unsettled)
		}
	}
	if len(names) != want {
		s.t.Errorf("compared %v, want %d", names, want)
	}
}

// bothWays runs a test with views alone, and with every table delivered as it is besides.
func bothWays(t *testing.T, f func(t *testing.T, s *scene, compared int)) {
	t.Run("views", func(t *testing.T) { f(t, market(t, false), 2) })
	t.Run("views and tables", func(t *testing.T) { f(t, market(t, true), 4) })
}

// TestRenamedAwayAndBack: a table goes away under another name and comes back. What it waits for holds up nobody
// else, and the command that the message tells ends it.
func TestRenamedAwayAndBack(t *testing.T) {
	bothWays(t, func(t *testing.T, s *scene, compared int) {
		s.sourceExec("RENAME TABLE mart.stall TO mart.stall2", "UPDATE mart.other SET n = n + 1")
		s.notReady("mart.stall is paused", "cdc resync mart.stall")
		pg := s.postgres()
		eventually(t, 30*time.Second, "the other view flows", func(ctx context.Context) bool {
			var n int
			return pg.QueryRow(ctx, `SELECT n FROM "Others"`).Scan(&n) == nil && n == 2
		})
		eventually(t, 30*time.Second, "the new name is covered: it waits for nothing", func(ctx context.Context) bool {
			st, err := s.client.Status(ctx)
			if err != nil {
				return false
			}
			for _, k := range st.Tables {
				if k.Name == "mart.stall2" && k.CoveredFrom > 0 {
					return true
				}
			}
			return false
		})
		if status, out := s.run("resync", "mart.stall", "--timeout", "20s"); status == 0 || !strings.Contains(out, "mart.stall") {
			t.Errorf("a resync of what is not there: status %d, %s", status, out)
		}
		s.sourceExec("RENAME TABLE mart.stall2 TO mart.stall", "INSERT INTO mart.stall VALUES (4, 4)")
		if status, out := s.run("resync", "mart.stall"); status != 0 {
			t.Fatalf("resync: status %d, %s", status, out)
		}
		s.settled(compared)
		s.sourceExec("DELETE FROM mart.stall WHERE id = 1", "UPDATE mart.other SET n = n + 1")
		s.settled(compared)
	})
}

// TestTableSwapped: an online change of a table's shape, as gh-ost makes it.
func TestTableSwapped(t *testing.T) {
	bothWays(t, func(t *testing.T, s *scene, compared int) {
		for round, alter := range []string{"ADD COLUMN c INT DEFAULT 5", "MODIFY n BIGINT"} {
			s.sourceExec("CREATE TABLE mart._stall_ghc (id BIGINT AUTO_INCREMENT PRIMARY KEY, hint VARCHAR(64))",
				"CREATE TABLE mart._stall_gho LIKE mart.stall", "ALTER TABLE mart._stall_gho "+alter,
				"INSERT INTO mart._stall_ghc (hint) VALUES ('state')",
				"INSERT INTO mart._stall_gho (id, n) SELECT id, n FROM mart.stall WHERE id < 3",
				"UPDATE mart.stall SET n = n + 10 WHERE id = 2", "REPLACE INTO mart._stall_gho (id, n) SELECT id, n FROM mart.stall",
				"RENAME TABLE mart.stall TO mart._stall_del, mart._stall_gho TO mart.stall",
				fmt.Sprintf("INSERT INTO mart.stall (id, n) VALUES (%d, 4)", 10+round),
				"DROP TABLE mart._stall_ghc", "DROP TABLE mart._stall_del", "UPDATE mart.other SET n = n + 1")
			s.settled(compared)
			s.sourceExec("DELETE FROM mart.stall WHERE id = 1", "UPDATE mart.other SET n = n + 1")
			s.settled(compared)
		}
		if code := s.stop(); code != 0 {
			t.Errorf("the daemon ends with status %d", code)
		}
		s.start()
		s.settled(compared)
	})
}

// TestFillBesideStuck: a view that somebody has to mend first holds up no destination's other views: neither one that
// is added while a table is paused, nor one that is filled again while a view does not fit its tables.
func TestFillBesideStuck(t *testing.T) {
	s := market(t, false)
	s.sourceExec("RENAME TABLE mart.stall TO mart.stall2", "UPDATE mart.other SET n = n + 1")
	s.notReady("mart.stall is paused")
	mars := s.sink.CreateDatabase(t)
	s.addSink("mars", mars, "[{from: view/Stalls}, {from: view/Others}]")
	s.must("reload")
	shows := func(database string, want int) {
		t.Helper()
		pg := s.postgresIn(database)
		eventually(t, 30*time.Second, "the other view is there", func(ctx context.Context) bool {
			var n int
			return pg.QueryRow(ctx, `SELECT n FROM "Others"`).Scan(&n) == nil && n == want
		})
	}
	shows(mars, 2)
	if status, out := s.run("resync", "--view", "Stalls", "--timeout", "20s"); status == 0 || !strings.Contains(out, "paused") {
		t.Errorf("a resync of a view over a paused table: status %d, %s", status, out)
	}
	s.must("resync", "--view", "Others")

	s.stop()
	s.sinkExec(`DROP TABLE "Stalls", "Others", cdc_progress, cdc_quarantine`)
	s.sourceExec("UPDATE mart.other SET n = n + 1")
	s.start() // without its table the view does not compile
	shows(mars, 3)
	shows(s.target, 3)
	s.notReady("Stalls")
	s.sourceExec("RENAME TABLE mart.stall2 TO mart.stall", "INSERT INTO mart.stall VALUES (4, 4)")
	s.settled(4)
}
