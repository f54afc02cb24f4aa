package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// unfit waits until exactly these tables are paused, each for its column g, and until /readyz says so of each.
func (s *scene) unfit(tables ...string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, fmt.Sprintf("%v are paused for their columns", tables), func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		if err != nil {
			return false
		}
		_, ready := s.get(ctx, "/readyz")
		paused := 0
		for _, t := range st.Tables {
			if t.State != "paused" {
				continue
			}
			paused++
			way := fmt.Sprintf("column %[1]s.g has type geometry, which is not supported; leave it out with  source.columns.exclude: [%[2]q]", t.Name, t.Name+".g")
			if !slices.Contains(tables, t.Name) || !strings.Contains(t.Trouble.Error, way) || !strings.Contains(ready, t.Name) {
				return false
			}
		}
		return paused == len(tables)
	})
}

// reconnect ends the connection over which the daemon reads the log, and waits until the new one names the column.
func (s *scene) reconnect(column string) {
	s.t.Helper()
	named := func() int { return strings.Count(s.log(), fmt.Sprintf(`source.columns.exclude: [\"%s\"]`, column)) }
	before := named()
	var dump int
	if err := s.db.QueryRow("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'").Scan(&dump); err != nil {
		s.t.Fatal(err)
	}
	s.sourceExec(fmt.Sprintf("KILL %d", dump))
	eventually(s.t, 60*time.Second, "the log names "+column+" again", func(context.Context) bool { return named() > before })
}

// TestUnsupportedColumnAppears: a captured table with a column that cannot be followed, new or by a statement, stops
// nobody else, also when the source is connected to again; the log names it with the way out.
func TestUnsupportedColumnAppears(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	s.sourceExec("CREATE TABLE sakila.place (id INT PRIMARY KEY, g GEOMETRY)", "ALTER TABLE sakila.language ADD COLUMN g GEOMETRY")
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.unfit("sakila.place", "sakila.language")

	s.reconnect("sakila.place.g")
	s.must("resync", "sakila.film")
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.unfit("sakila.place", "sakila.language")
	s.digests()
	s.sourceExec("CREATE TABLE sakila.brief (id INT PRIMARY KEY, g GEOMETRY)")
	s.unfit("sakila.place", "sakila.language", "sakila.brief")
	s.sourceExec("DROP TABLE sakila.brief")
	s.unfit("sakila.place", "sakila.language")
	s.sourceExec("ALTER TABLE sakila.customer ADD COLUMN g GEOMETRY") // a view reads it
	s.unfit("sakila.place", "sakila.language", "sakila.customer")
	s.reconnect("sakila.customer.g")
	s.unfit("sakila.place", "sakila.language", "sakila.customer")
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	s.refused(1, "sakila.place.g", "source.columns.exclude")
	s.hidden = append(s.hidden, "sakila.place.g", "sakila.language.g", "sakila.customer.g")
	s.configure()
	s.start()
	s.waitShown(60 * time.Second)
	s.ready()
	s.digests()
	s.verify()
}
