package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestMigrateBeforeTheDeploy: a step before the deploy makes and widens the tables at each kind of destination; the
// daemon's own account changes nothing, and stops with the statement that is missing.
func TestMigrateBeforeTheDeploy(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(8,2))",
		"INSERT INTO shop.item VALUES (1, 'one', 1.10), (2, 'two', 2.20), (3, 'it''s', NULL)")
	s.tables = append(s.tables, "shop.*")
	s.view("items.sql", "CREATE VIEW Items AS SELECT i.id AS Id, i.name AS Name FROM shop.item i", "Items")
	ms, ch := testenv.SQLServer(t), testenv.ClickHouse(t)
	t.Setenv("E2E_MARS", ms.Password)
	t.Setenv("E2E_CLICK", ch.Password)
	strict := "    schema_changes: strict\n    deliver: [{from: view/Items, delete: soft}]\n"
	s.more = []string{
		fmt.Sprintf("  mars:\n    type: sqlserver\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:E2E_MARS}\n    tls: {mode: %s, ca: %q}\n",
			ms.Host, ms.Port, ms.CreateDatabase(t), ms.User, map[bool]string{true: "disable", false: "verify-full"}[ms.CA == ""], ms.CA) + strict,
		fmt.Sprintf("  click:\n    type: clickhouse\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:E2E_CLICK}\n    tls: {mode: disable}\n",
			ch.Host, ch.Port, ch.CreateDatabase(t), ch.User) + strict,
	}
	s.sets = append(s.sets, "sinks.neptune.schema_changes=strict")
	s.configure()
	all := []string{"click", "mars", "neptune"}
	migrate := func(word string, want int) string {
		t.Helper()
		status, out := s.run("migrate", word)
		if status != want {
			t.Fatalf("migrate %s: status %d, want %d\n%s", word, status, want, out)
		}
		return out
	}

	if out := migrate("status", 0); strings.Count(out, ": nothing") != len(all) {
		t.Errorf("status of new destinations:\n%s", out)
	}
	first := migrate("plan", 1)
	for _, want := range []string{"cdc_progress", "cdc_quarantine", `"Items"`, "[Items]", "Items_versions"} {
		if !strings.Contains(first, want) {
			t.Errorf("the plan lacks %s:\n%s", want, first)
		}
	}
	if again := migrate("plan", 1); again != first {
		t.Errorf("a plan has changed something:\n%s\n%s", first, again)
	}
	migrate("apply", 0)
	migrate("plan", 0)
	s.start()
	s.waitShown(time.Minute)
	s.verify()
	migrate("plan", 0) // beside the daemon
	s.sourceExec("UPDATE shop.item SET name = 'zwei' WHERE id = 2", "DELETE FROM shop.item WHERE id = 1")
	s.waitShown(time.Minute)
	s.verify()
	if code := s.stop(); code != 0 {
		t.Fatalf("the daemon ends with status %d", code)
	}

	s.view("items.sql", "CREATE VIEW Items AS SELECT i.id AS Id, i.name AS Name, i.price AS Price FROM shop.item i", "Items")
	s.views = s.views[:1]
	alter := migrate("plan", 1)
	if strings.Count(alter, "ALTER TABLE") != len(all) {
		t.Errorf("the plan for a new column:\n%s", alter)
	}
	s.start()
	eventually(t, time.Minute, "every sink stops with the statement", func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		if err != nil {
			return false
		}
		stopped := 0
		for _, k := range st.Sinks {
			if strings.Contains(k.Error+k.Hint, "ALTER TABLE") {
				stopped++
			}
		}
		return stopped == len(all)
	})
	if code := s.stop(); code != 0 && code != 1 {
		t.Errorf("the daemon ends with status %d", code)
	}
	migrate("apply", 0)
	migrate("plan", 0)
	s.start()
	s.waitShown(time.Minute)
	s.verify()
	if out := migrate("status", 0); strings.Count(out, "ALTER TABLE") < len(all) || !strings.Contains(out, "version 1,") {
		t.Errorf("status:\n%s", out)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the daemon ends with status %d", code)
	}
}
