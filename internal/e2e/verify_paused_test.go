package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// A comparison does not wait for what is paused: it ends, and says what is in the way and the way out.
func TestVerifyOfPaused(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("mall")
	s.sourceExec("CREATE DATABASE mall",
		"CREATE TABLE mall.cust (id INT PRIMARY KEY, name VARCHAR(10), note VARCHAR(10))",
		"INSERT INTO mall.cust VALUES (1, 'a', 'x'), (2, 'b', 'y')")
	s.tables = append(s.tables, "mall.*")
	s.view("names.sql", "CREATE VIEW Names AS SELECT id, name FROM mall.cust", "Names")
	s.start()
	s.waitShown(time.Minute)
	s.must("verify")
	says := func(parts ...string) {
		t.Helper()
		status, out := s.run("verify", "--timeout", "30s")
		for _, part := range parts {
			if status != 2 || !strings.Contains(out, part) {
				t.Errorf("verify: status %d, %q; want 2 and %q", status, out, part)
			}
		}
	}
	s.must("sink", "pause", "neptune")
	says("sink neptune is paused", "cdc sink resume neptune")
	s.must("sink", "resume", "neptune")
	s.waitShown(time.Minute)
	s.must("verify")
	if status, out := s.run("verify", "--sink", "nosuch"); status != 2 || !strings.Contains(out, `there is no sink "nosuch" (sinks are neptune)`) {
		t.Errorf("verify of no sink: status %d, %s", status, out)
	}
	s.sourceExec("ALTER TABLE mall.cust DROP COLUMN note", "UPDATE mall.cust SET name = 'c' WHERE id = 1")
	says("table mall.cust is paused", "cdc resync mall.cust")
	s.must("resync", "mall.cust")
	eventually(t, time.Minute, "the rows are equal again", func(context.Context) bool { status, _ := s.run("verify", "--timeout", "10s"); return status == 0 })
}
