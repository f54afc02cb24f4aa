package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestUnsupportedColumnAppears: a captured table with a column that cannot be followed, new or by a statement, stops
// nobody else, also when the source is connected to again; the log names it with the way out.
func TestUnsupportedColumnAppears(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	s.sourceExec("CREATE TABLE sakila.place (id INT PRIMARY KEY, g GEOMETRY)", "ALTER TABLE sakila.language ADD COLUMN g GEOMETRY")
	s.changeALittle()
	s.waitShown(60 * time.Second)

	var dump int
	if err := s.db.QueryRow("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'").Scan(&dump); err != nil {
		t.Fatal(err)
	}
	s.sourceExec(fmt.Sprintf("KILL %d", dump))
	eventually(t, 60*time.Second, "the log names the column", func(context.Context) bool {
		return strings.Contains(s.log(), `source.columns.exclude: [\"sakila.place.g\"]`)
	})
	s.must("resync", "sakila.film")
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.digests()
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	s.refused(1, "sakila.place.g", "source.columns.exclude")
	s.hidden = append(s.hidden, "sakila.place.g", "sakila.language.g")
	s.configure()
	s.start()
	s.waitShown(60 * time.Second)
	s.ready()
	s.digests()
	s.verify()
}
