package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// Tables come, change their types, go and come back while the daemon runs: nothing else stops, and what
// pauses tells the command that ends the pause.
func TestTablesComeAndGo(t *testing.T) {
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
		"INSERT INTO shop.article VALUES (1, 1.10), (2, 2.20)",
		"INSERT INTO shop.line VALUES (1, 1), (2, 2), (3, NULL)")
	s.tables = append(s.tables, "shop.*")
	s.view("line_price.sql", "CREATE VIEW LinePrice AS SELECT l.id, a.price FROM shop.line l LEFT JOIN shop.article a ON a.id = l.article", "LinePrice")
	s.configure()
	s.start()
	s.waitShown(time.Minute)

	exec("CREATE TABLE shop.fresh (id INT PRIMARY KEY)", "INSERT INTO shop.fresh VALUES (1)", "INSERT INTO shop.line VALUES (4, 2)")
	s.waitShown(time.Minute)
	s.verify()
	if status, out := s.run("topics", "tail", rawStream+".shop.fresh", "-n", "5"); status != 0 || !strings.Contains(out, `"id"`) {
		t.Errorf("the new table's topic: status %d, %s", status, out)
	}

	exec("ALTER TABLE shop.line MODIFY article BIGINT", "UPDATE shop.line SET article = 1 WHERE id = 2")
	s.notReady("shop.line", "cdc resync shop.line")
	if code := s.stop(); code != 0 {
		t.Errorf("the daemon ends with status %d", code)
	}
	s.start() // the views are compiled against the new type
	s.notReady("shop.line", "cdc resync shop.line")
	if status, out := s.run("resync", "shop.line"); status != 0 {
		t.Fatalf("resync of a paused table: status %d, %s", status, out)
	}
	s.waitShown(time.Minute)
	s.verify()
	s.ready()

	exec("DROP TABLE shop.article")
	s.notReady("shop.article")
	exec("CREATE TABLE shop.article (id INT PRIMARY KEY, price DECIMAL(10,2))", "INSERT INTO shop.article VALUES (2, 7.70)")
	s.waitShown(time.Minute)
	s.verify()
	s.ready()
}
