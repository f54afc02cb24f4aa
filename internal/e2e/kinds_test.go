package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// appendSink writes a sink of any kind into the configuration.
func (s *scene) appendSink(name, text string) {
	s.t.Helper()
	old, err := os.ReadFile(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.config(), append(old, fmt.Sprintf("  %s:\n%s", name, text)...), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// A sink of each kind joins a daemon that runs, gets a view and the source's tables, sets aside what a
// contract withholds, is put right by a resync, and is dropped with all it made.
func TestKindsOfSinks(t *testing.T) {
	t.Run("clickhouse", func(t *testing.T) {
		ch := testenv.ClickHouse(t)
		database := fmt.Sprintf("e2e_%d", time.Now().UnixNano())
		if err := ch.Exec(t.Context(), "", "CREATE DATABASE "+database); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(ch.URL(database))
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("E2E_OTHER", ch.Password)
		testKind(t, "clickhouse", fmt.Sprintf("    type: clickhouse\n    host: %s\n    port: %s\n    database: %s\n    user: %s\n    password: ${env:E2E_OTHER}\n    tls: {mode: disable}\n",
			u.Hostname(), u.Port(), database, ch.User))
	})
	t.Run("sqlserver", func(t *testing.T) {
		ms := testenv.SQLServer(t)
		database := ms.CreateDatabase(t)
		t.Setenv("E2E_OTHER", ms.Password)
		testKind(t, "mars", fmt.Sprintf("    type: sqlserver\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:E2E_OTHER}\n    tls: {mode: %s, ca: %q}\n",
			ms.Host, ms.Port, database, ms.User, map[bool]string{true: "disable", false: "verify-full"}[ms.CA == ""], ms.CA))
	})
}

func testKind(t *testing.T, name, text string) {
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

	s.appendSink(name, text+"    deliver: [{from: view/LinePrice, to: Prices, delete: soft}, {from: \"table/shop.*\"}]\n")
	s.must("reload")
	s.waitShown(time.Minute)
	all := []string{name + "/LinePrice", name + "/shop.article", name + "/shop.line", "neptune/LinePrice"}
	s.equal(all...)

	exec("UPDATE shop.article SET price = 3.30 WHERE id = 2", "INSERT INTO shop.line VALUES (4, 1)", "DELETE FROM shop.line WHERE id = 1")
	s.waitShown(time.Minute)
	s.equal(all...)

	dir := s.dir + "/schemas/contracts"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	contract := `{"version": 1, "stream": "LinePrice", "rules": [{"name": "cheap", "column": "price", "expr": "value < 100.0"}]}`
	if err := os.WriteFile(dir+"/line.json", []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("reload")
	exec("UPDATE shop.article SET price = 500 WHERE id = 2")
	s.waitShown(time.Minute)
	list := s.letters()
	if len(list) != 2 || list[0].Sink == list[1].Sink || list[0].Key != "[2]" || !strings.Contains(list[0].Reason, "rule cheap") || !strings.Contains(list[1].Reason, "rule cheap") {
		t.Errorf("refused: %+v", list)
	}
	if len(list) > 0 {
		if out := s.must("dlq", "show", list[0].ID); !strings.Contains(out, "price = 500.00") {
			t.Errorf("show: %s", out)
		}
	}
	s.must("verify", "--allow-quarantined")
	if err := os.Remove(dir + "/line.json"); err != nil {
		t.Fatal(err)
	}
	s.must("reload")
	s.must("dlq", "replay")
	eventually(t, time.Minute, "nothing is refused", func(context.Context) bool { return len(s.letters()) == 0 })
	s.must("resync", "--sink", name)
	s.waitShown(time.Minute)
	s.equal(all...)

	s.must("sink", "pause", name)
	exec("INSERT INTO shop.line VALUES (9, 1)")
	s.must("sink", "resume", name)
	s.waitShown(time.Minute)
	s.equal(all...)
	out := s.must("sink", "drop", name, "--purge")
	if !strings.Contains(out, "deleted") || strings.Contains(out, "remains") {
		t.Errorf("drop: %s", out)
	}
}
