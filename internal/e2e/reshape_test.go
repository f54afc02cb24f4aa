package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// A table that a view reads changes its shape: after the resync the view is compiled anew while the daemon
// runs. A view that does not fit any more is paused, by name; the others flow all the time.
func TestViewsFollowTheirTables(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("mall")
	s.sourceExec("CREATE DATABASE mall",
		"CREATE TABLE mall.article (id INT PRIMARY KEY, price DECIMAL(10,2), name VARCHAR(10))",
		"CREATE TABLE mall.line (id INT PRIMARY KEY, article INT)",
		"CREATE TABLE mall.other (id INT PRIMARY KEY, n INT)",
		"INSERT INTO mall.article VALUES (1, 1.10, 'a'), (2, 2.20, 'b')",
		"INSERT INTO mall.line VALUES (1, 1), (2, 2), (3, NULL)", "INSERT INTO mall.other VALUES (1, 1)")
	s.tables = append(s.tables, "mall.*")
	s.view("line_price.sql", "CREATE VIEW LinePrice AS SELECT l.id, a.price, a.name FROM mall.line l LEFT JOIN mall.article a ON a.id = l.article", "LinePrice")
	s.view("others.sql", "CREATE VIEW Others AS SELECT id, n FROM mall.other", "Others")
	s.configure()
	s.start()
	s.waitShown(time.Minute)
	flowing := 0
	flows := func() { // the view over the other table is not held back
		t.Helper()
		flowing++
		s.sourceExec("UPDATE mall.other SET n = n + 1")
		pg := s.postgres()
		eventually(t, 20*time.Second, "the other view flows", func(ctx context.Context) bool {
			var n int
			err := pg.QueryRow(ctx, `SELECT n FROM "Others"`).Scan(&n)
			return err == nil && n == 1+flowing
		})
	}
	resync := func(table string) {
		t.Helper()
		if status, out := s.run("resync", table); status != 0 {
			t.Fatalf("resync of %s: status %d, %s", table, status, out)
		}
	}
	whole := func() {
		t.Helper()
		s.waitShown(time.Minute)
		s.verify()
		s.ready()
	}

	s.sourceExec("ALTER TABLE mall.line MODIFY article BIGINT", "UPDATE mall.line SET article = 1 WHERE id = 2")
	s.notReady("mall.line", "cdc resync mall.line")
	flows()
	resync("mall.line")
	whole()
	flows()
	s.sourceExec("INSERT INTO mall.line VALUES (5, 2)", "UPDATE mall.article SET price = 9.99 WHERE id = 2")
	whole()

	for _, gone := range [][2]string{
		{"ALTER TABLE mall.article CHANGE price cost DECIMAL(10,2)", "ALTER TABLE mall.article CHANGE cost price DECIMAL(12,4)"},
		{"ALTER TABLE mall.article DROP COLUMN name", "ALTER TABLE mall.article ADD COLUMN name VARCHAR(20) DEFAULT 'x'"},
	} {
		s.sourceExec(gone[0])
		s.notReady("mall.article", "cdc resync mall.article")
		flows()
		resync("mall.article")
		s.notReady("LinePrice", "cdc view check")
		flows()
		if status, out := s.run("status"); status == 0 && !strings.Contains(out, "paused") {
			t.Errorf("cdc status says nothing of the paused view: %s", out)
		}
		s.sourceExec(gone[1])
		flows()
		resync("mall.article")
		whole()
	}

	s.sourceExec("TRUNCATE TABLE mall.line", "INSERT INTO mall.line VALUES (7, 1)")
	flows()
	whole()
	if code := s.stop(); code != 0 {
		t.Errorf("the daemon ends with status %d", code)
	}
}
