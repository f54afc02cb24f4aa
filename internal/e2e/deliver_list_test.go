package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// A running sink is given other views and tables by a reload: what is new is filled, what is taken out stays as it
// is, and comes back complete.
func TestDeliverListChanges(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.article (id INT PRIMARY KEY, price INT)", "CREATE TABLE shop.line (id INT PRIMARY KEY, article INT)",
		"INSERT INTO shop.article VALUES (1, 1), (2, 2)", "INSERT INTO shop.line VALUES (1, 1), (2, 2), (3, NULL)")
	s.tables = append(s.tables, "shop.*")
	s.view("article.sql", "CREATE VIEW Article AS SELECT a.id, a.price FROM shop.article a", "Article")
	s.view("line_price.sql", "CREATE VIEW LinePrice AS SELECT l.id, a.price FROM shop.line l LEFT JOIN shop.article a ON a.id = l.article", "LinePrice")
	delivers := func(views []string, raw ...string) {
		s.views, s.raw = views, raw
		s.configure()
	}
	delivers([]string{"Article"})
	s.start()
	s.waitShown(time.Minute)
	s.equal("neptune/Article")

	delivers([]string{"Article", "LinePrice"}, `{from: "table/shop.line"}`)
	out := s.must("reload")
	for _, line := range []string{"(none) -> {from: view/LinePrice}", "(none) -> {from: table/shop.line}"} {
		if !strings.Contains(out, "applied  sinks.neptune.deliver: "+line+"\n") {
			t.Errorf("reload: %s", out)
		}
	}
	s.waitShown(time.Minute)
	s.equal("neptune/Article", "neptune/LinePrice", "neptune/shop.line")

	delivers([]string{"LinePrice"})
	if out := s.must("reload"); !strings.Contains(out, "applied  sinks.neptune.deliver: {from: view/Article} -> (removed)\n") {
		t.Errorf("reload: %s", out)
	}
	s.sourceExec("UPDATE shop.article SET price = 9 WHERE id = 1", "DELETE FROM shop.line WHERE id = 3", "INSERT INTO shop.line VALUES (4, 1)")
	s.waitShown(time.Minute)
	s.equal("neptune/LinePrice")
	var price, lines int
	if err := s.postgres().QueryRow(t.Context(), `SELECT (SELECT price FROM "Article" WHERE id = 1), (SELECT count(*) FROM line WHERE id = 4)`).Scan(&price, &lines); err != nil {
		t.Fatal(err)
	}
	if price != 1 || lines != 0 {
		t.Errorf("what is not delivered any more was written: price %d, %d new lines", price, lines)
	}

	delivers([]string{"Article", "LinePrice"}, `{from: "table/shop.line"}`)
	s.must("reload")
	s.waitShown(time.Minute)
	s.equal("neptune/Article", "neptune/LinePrice", "neptune/shop.line")
	if status, out := s.run("reload"); status != 0 || out != "nothing has changed\n" {
		t.Errorf("a second reload: status %d, %s", status, out)
	}

	delivers([]string{"Article", "Nothing"})
	if status, out := s.run("reload"); status != 1 || !strings.Contains(out, "there is no such view") || !strings.Contains(out, "nothing was applied") {
		t.Errorf("reload of a list with a view that is not there: status %d, %s", status, out)
	}
	s.sourceExec("UPDATE shop.article SET price = 10 WHERE id = 1")
	s.waitShown(time.Minute)
	s.equal("neptune/Article", "neptune/LinePrice", "neptune/shop.line")
}
