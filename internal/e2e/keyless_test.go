package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// Rows of a table without a key may be equal: the topic has each of them, from the first load and from the log.
func TestKeylessRows(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("heap")
	s.sourceExec("CREATE DATABASE heap", "CREATE TABLE heap.nokey (a INT, b INT)", "INSERT INTO heap.nokey VALUES (1,2), (1,2)",
		"CREATE TABLE heap.keyed (id INT PRIMARY KEY)", "INSERT INTO heap.keyed VALUES (1)")
	s.tables = append(s.tables, "heap.*")
	s.view("keyed.sql", "CREATE VIEW Keyed AS SELECT id FROM heap.keyed", "Keyed")
	s.configure()
	s.start()
	s.waitShown(time.Minute)
	rows := func(want int, op string) {
		t.Helper()
		status, out := s.run("topics", "tail", rawStream+".heap.nokey", "-n", "100")
		if got := strings.Count(out, op); status != 0 || got != want {
			t.Errorf("status %d, %d times %s, want %d:\n%s", status, got, op, want, out)
		}
	}
	rows(2, "  r  ")
	s.sourceExec("INSERT INTO heap.nokey VALUES (1,2)", "UPDATE heap.nokey SET b = 3 LIMIT 2", "DELETE FROM heap.nokey WHERE b = 3 LIMIT 1")
	s.waitShown(time.Minute)
	rows(1, "  c  ")
	rows(2, "  u  ")
	rows(1, "  d  ")
	if status, out := s.run("resync", "heap.nokey"); status != 0 {
		t.Fatalf("resync: status %d, %s", status, out)
	}
	s.waitShown(time.Minute)
	rows(4, "  r  ")

	// A table that nobody reads may go: the daemon stays ready, and takes the table again when it is back.
	s.sourceExec("DROP TABLE heap.nokey", "INSERT INTO heap.keyed VALUES (2)")
	s.waitShown(time.Minute)
	s.ready()
	st, err := s.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Tables) != 1 || st.Tables[0].Name != "heap.keyed" || st.Tables[0].CoveredFrom == 0 {
		t.Errorf("cdc status still names the dropped table, or not since when the other one is covered: %+v", st.Tables)
	}
	if log := s.log(); strings.Contains(log, "cannot go on where it stood") || strings.Contains(log, "EndTxn slow") {
		t.Errorf("the first start warns:\n%s", log)
	}
	eventually(t, 10*time.Second, "the figures of source and join move", func(context.Context) bool {
		m := s.metrics()
		return m["cdc_join_batch_seconds_count"] > 0 && m["cdc_source_retention_seconds"] > 0 &&
			m[`cdc_source_schema_changes_total{table="heap.nokey"}`] > 0
	})
	s.sourceExec("CREATE TABLE heap.nokey (a INT, b INT)", "INSERT INTO heap.nokey VALUES (8,8)")
	s.waitShown(time.Minute)
	rows(2, "  c  ")
	s.ready()
}
