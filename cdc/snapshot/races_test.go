package snapshot

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// race is a way in which a chunk goes wrong when one precaution is missing.
type race struct {
	method  Method
	keyType string // default INT
	key     func(*rand.Rand) string
	writers int // default 8
	naive   form
	rows    int          // of a chunk; default 12
	late    int          // chunks are emitted up to so many boundaries later than they could
	beside  func(l *lab) // starts what runs beside the writers
}

// wholeTable is a chunk in which an error of either place shows wherever the row is.
const wholeTable = 500

const (
	enoughReads = 1000
	naiveTime   = 30 * time.Second // within which the naive form must fail
	realTime    = 60 * time.Second // within which the real one must have had its reads
	races       = 10               // that share the budget of random tests
)

// run shows that the naive form fails, and that the real one does not, in no fewer reads.
func (r race) run(t *testing.T, s *testenv.MySQLServer) {
	t.Helper()
	if r.keyType == "" {
		r.keyType, r.key = "INT", numberKey
	}
	if r.writers == 0 {
		r.writers = 8
	}
	if r.rows == 0 {
		r.rows = 12
	}
	l := newLab(t, s, r.method, r.keyType)
	end := startWriters(t, s, l.db, r.writers, r.key)
	if r.beside != nil {
		r.beside(l)
	}
	ctx, cancel := context.WithTimeout(t.Context(), naiveTime+realTime+testenv.Budget(t))
	defer cancel()
	naive, err := l.run(ctx, plan{form: r.naive, rows: r.rows, late: r.late}, func(c *counts) bool { return c.wrong > 0 || c.took > naiveTime })
	if err != nil {
		t.Fatalf("the naive form: %v", err)
	}
	t.Logf("naive: %s", naive)
	if naive.wrong == 0 {
		t.Fatalf("the naive form was right in all its reads: this test cannot tell it from the real one")
	}
	// What the naive form left behind, and rows that never were, must be gone at the end.
	l.plant()
	least, share := max(enoughReads, naive.reads), testenv.Budget(t)/races
	proper, err := l.run(ctx, plan{rows: r.rows, late: r.late}, func(c *counts) bool {
		return c.wrong > 0 || c.reads >= least && c.passes > 0 && c.took >= share
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("real:  %s", proper)
	if proper.wrong > 0 {
		t.Errorf("a chunk is not what the table held at its boundary (-table +chunk):\n%s", proper.first)
	}
	l.finish(ctx, end)
}

// plant gives the destination rows that the table does not have: below, between and above its keys.
func (l *lab) plant() {
	for _, n := range []int64{-5, 77, 500} {
		v := change.IntValue(n)
		if l.table.Columns[0].Type.Kind == change.String {
			v = change.StringValue(map[int64]string{-5: "!", 77: "cx99", 500: "~"}[n])
		}
		row := change.Row{v, change.IntValue(-n)}
		k, err := l.table.RowKey(row)
		if err != nil {
			l.Fatal(err)
		}
		l.held[k] = row
	}
}

// windows are the races of a chunk's way from its read to its boundary: every server has them.
func windows() map[string]race {
	return map[string]race{
		"a key that changed in the window is left out":          {naive: form{dropChanged: true}},
		"the chunk is emitted as it was read":                   {naive: form{asRead: true}},
		"the chunk is emitted behind the place it is rolled to": {naive: form{rollToHigh: true}, late: 20},
		"keys without order in byte ranges": {naive: form{binary: true}, keyType: "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
			key: letterKey},
	}
}

// TestRacesMariaDB: the precautions of design.md section 5, each shown to be needed on MariaDB.
func TestRacesMariaDB(t *testing.T) {
	s := testenv.MariaDB(t)
	all := windows()
	all["the log is ahead of what is visible"] = race{naive: form{reader: naive{noWait: true}}, rows: wholeTable}
	all["the snapshot's place is another session's"] = race{naive: form{reader: naive{singleReading: true}}, rows: wholeTable, beside: hammerStatus}
	runAll(t, s, ConsistentSnapshot, all)
}

// TestRacesMySQL: the same on MySQL with GTIDs. Commits wait for each other there, in groups: between the
// first row of a group that is visible and its GTIDs lies the whole group.
func TestRacesMySQL(t *testing.T) {
	s := testenv.NewMySQL(t, "--binlog-group-commit-sync-delay=500", "--binlog-group-commit-sync-no-delay-count=12")
	all := windows()
	all["the log is ahead of what is visible"] = race{naive: form{reader: naive{noWait: true}}, rows: wholeTable}
	all["a row is ahead of its GTID"] = race{naive: form{reader: naive{executedOnly: true}}, rows: wholeTable, writers: 16}
	runAll(t, s, ExecutedGTIDs, all)
}

// TestRacesWithoutGTIDs: only locks wait there for rows that are logged and not yet visible.
func TestRacesWithoutGTIDs(t *testing.T) {
	off := []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}
	all := func() map[string]race {
		return map[string]race{"the log is ahead of what is visible": {naive: form{reader: naive{noLock: true}}, rows: wholeTable}}
	}
	t.Run("mysql", func(t *testing.T) { runAll(t, testenv.NewMySQL(t, off...), LockingRead, all()) })
	t.Run("mysql57", func(t *testing.T) { runAll(t, testenv.NewMySQL57(t, off...), LockingRead, all()) })
}

func runAll(t *testing.T, s *testenv.MySQLServer, m Method, all map[string]race) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		r.method = m
		t.Run(name, func(t *testing.T) { r.run(t, s) })
	}
}

// hammerStatus is a monitoring agent that asks for the server's status without a pause.
func hammerStatus(l *lab) {
	pool, err := l.server.Open("")
	if err != nil {
		l.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.Context()))
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			for ctx.Err() == nil {
				rows, err := pool.QueryContext(ctx, "SHOW GLOBAL STATUS")
				if err != nil {
					if ctx.Err() == nil {
						l.Errorf("the monitoring session: %v", err)
					}
					return
				}
				for rows.Next() {
				}
				_ = rows.Close()
			}
		})
	}
	l.Cleanup(func() {
		cancel()
		done.Wait()
		_ = pool.Close()
	})
}
