package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// A row that the destination refuses is set aside, told with its values, and comes when the cause is mended; a
// later good version takes another off the list by itself.
func TestDeadLetters(t *testing.T) {
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
	exec("CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, price INT, note VARCHAR(20))", "INSERT INTO shop.line VALUES (1, 10, 'one'), (2, 20, NULL)")
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.price, l.note FROM shop.line l", "Line")
	s.configure()
	s.start()
	s.waitShown(time.Minute)
	if out := s.must("dlq", "list"); out != "no row is refused\n" {
		t.Errorf("list: %s", out)
	}
	s.breakRows(s.target, `ALTER TABLE "Line" ADD CONSTRAINT cheap CHECK (price < 100)`)
	exec("UPDATE shop.line SET price = 500 WHERE id = 1", "INSERT INTO shop.line VALUES (3, 600, 'three'), (4, 40, NULL)")
	s.waitShown(time.Minute)
	status, out := s.run("verify")
	if status != 1 || !strings.Contains(out, "quarantined: 2") {
		t.Errorf("verify: status %d, %s", status, out)
	}
	s.must("verify", "--allow-quarantined")
	list := s.letters()
	if len(list) != 2 || list[0].Key != "[1]" || list[1].Key != "[3]" || !strings.Contains(list[0].Reason, "cheap") {
		t.Fatalf("refused: %+v", list)
	}
	if out := s.must("dlq", "show", list[1].ID); !strings.Contains(out, "tried: insert\n    id = 3\n    price = 600\n    note = three\n") {
		t.Errorf("show: %s", out)
	}

	exec("UPDATE shop.line SET price = 50 WHERE id = 3")
	s.waitShown(time.Minute)
	if list = s.letters(); len(list) != 1 || list[0].Key != "[1]" {
		t.Fatalf("refused after a good version of 3: %+v", list)
	}
	if status, out := s.run("dlq", "replay"); status != 1 || !strings.Contains(out, "refused again") { // it stays
		t.Errorf("replay of what is refused again: status %d, %s", status, out)
	}
	s.waitShown(time.Minute)
	eventually(t, time.Minute, "the row is refused anew", func(context.Context) bool {
		again := s.letters()
		return len(again) == 1 && again[0].Seq > list[0].Seq
	})
	if status, out := s.run("dlq", "replay", list[0].ID); status != 1 || !strings.Contains(out, "not listed any more") {
		t.Errorf("replay of an older entry: status %d, %s", status, out)
	}
	s.breakRows(s.target, `ALTER TABLE "Line" DROP CONSTRAINT cheap`)
	s.must("dlq", "replay", s.letters()[0].ID)
	eventually(t, time.Minute, "nothing is refused", func(context.Context) bool { return len(s.letters()) == 0 })
	s.must("verify")

	s.breakRows(s.target, `ALTER TABLE "Line" ADD CONSTRAINT cheap CHECK (price < 100) NOT VALID`)
	exec("UPDATE shop.line SET price = 700 WHERE id = 4")
	s.waitShown(time.Minute)
	s.must("dlq", "drop", s.letters()[0].ID)
	if status, out := s.run("verify"); status != 1 || !strings.Contains(out, "1 of 4 rows") {
		t.Errorf("verify after a drop: status %d, %s", status, out)
	}
	if status, _ := s.run("dlq", "drop"); status != 2 {
		t.Errorf("drop of nothing: status %d", status)
	}
}

// A data contract that is added while the daemon runs withholds rows at the sink, with its own reason, and counts.
func TestContract(t *testing.T) {
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
	exec("CREATE DATABASE shop", "CREATE TABLE shop.line (id INT PRIMARY KEY, price DECIMAL(10,2))", "INSERT INTO shop.line VALUES (1, 10), (2, NULL)")
	s.tables = append(s.tables, "shop.*")
	s.view("line.sql", "CREATE VIEW Line AS SELECT l.id, l.price FROM shop.line l", "Line")
	s.configure()
	dir := filepath.Join(s.dir, "schemas", "contracts")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "line.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	s.waitShown(time.Minute)
	write(`{"version": 1, "stream": "Line", "rules": [{"name": "paid", "column": "price", "expr": "value >"}]}`)
	if status, out := s.run("reload"); status != 1 || !strings.Contains(out, "contract line.json: rule 1 (paid): expr:") {
		t.Errorf("reload of a broken contract: status %d, %s", status, out)
	}
	write(`{"version": 1, "stream": "Line", "rules": [{"name": "paid", "column": "price", "expr": "value >= 0"}]}`)
	s.must("reload")
	exec("UPDATE shop.line SET price = -1 WHERE id = 1", "INSERT INTO shop.line VALUES (3, -0.01), (4, 4)")
	s.waitShown(time.Minute)
	list := s.letters()
	if len(list) != 2 || list[0].Reason != "contract: rule paid of column price does not hold" {
		t.Fatalf("refused: %+v", list)
	}
	if out := s.must("dlq", "show", list[1].ID); !strings.Contains(out, "id = 3\n    price = -0.01\n") {
		t.Errorf("show: %s", out)
	}
	if n := s.metrics().sum("cdc_contract_violations_total", `stream="Line"`, `rule="paid"`, `action="quarantine"`); n != 2 {
		t.Errorf("%v violations counted, want 2", n)
	}
	s.must("verify", "--allow-quarantined")
	write(`{"version": 1, "stream": "Line", "rules": [{"name": "paid", "column": "price", "expr": "value >= 0", "action": "warn"}]}`)
	s.must("reload")
	s.must("dlq", "replay")
	eventually(t, time.Minute, "nothing is refused", func(context.Context) bool { return len(s.letters()) == 0 })
	s.must("verify")
}

func (s *scene) letters() []admin.DeadLetter {
	s.t.Helper()
	var list []admin.DeadLetter
	if err := json.Unmarshal([]byte(s.must("dlq", "list", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}
