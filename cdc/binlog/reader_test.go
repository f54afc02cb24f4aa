package binlog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestRowsInOrder(t *testing.T) {
	onAll(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20), d DECIMAL(6,2))", "CREATE TABLE b (id BIGINT UNSIGNED PRIMARY KEY)")
		from := f.current()
		r := f.open(from)
		f.exec("INSERT INTO a VALUES (1, 'x', 1.5), (2, NULL, -0.25)",
			"BEGIN", "UPDATE a SET v = 'é' WHERE id = 2", "INSERT INTO b VALUES (18446744073709551615)", "DELETE FROM a WHERE id = 1", "COMMIT",
			"BEGIN", "INSERT INTO b VALUES (7)", "ROLLBACK")
		items := f.until(r, f.current())
		want := []string{
			`c a [] [1 "x" 1.50]`, `c a [] [2 NULL -0.25]`,
			`u a [2 NULL -0.25] [2 "é" -0.25]`, `c b [] [18446744073709551615]`, `d a [1 "x" 1.50] []`,
		}
		if d := cmp.Diff(want, text(events(t, items))); d != "" {
			t.Error(d)
		}
		commits := 0
		for _, i := range items {
			if i.Kind == Commit {
				commits++
				if (i.Tx.GTID == "") == f.src.Server().GTIDs || i.Tx.CommitMicros == 0 || i.Tx.File == "" || i.Tx.Pos == 0 {
					t.Errorf("transaction lacks its place: %+v", i.Tx)
				}
			}
		}
		if commits != 2 {
			t.Errorf("%d transactions, want 2", commits)
		}
	})
}
