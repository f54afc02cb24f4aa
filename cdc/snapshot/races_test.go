package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// race is a way in which a chunk goes wrong when a precaution is missing.
type race struct {
	naive   map[string]form // each of them must fail
	keyType string          // default INT
	key     func(*rand.Rand) string
	writers int          // default 8
	rows    int          // of a chunk; default 12
	late    int          // chunks are emitted up to so many boundaries later than they could
	beside  func(l *lab) // starts what runs beside the writers
}

// wholeTable is a chunk in which an error of either place shows, whatever row it is in.
const wholeTable = 500

const (
	enoughReads = 1000
	naiveTime   = 30 * time.Second // within which a naive form must fail
	realTime    = 90 * time.Second // within which the real one must have had its reads
	races       = 10               // that share the budget of random tests
)

// run shows that the naive forms fail, and that the real one does not, in no fewer reads.
func (r race) run(t *testing.T, s *testenv.MySQLServer, m Method) {
	if r.keyType == "" {
		r.keyType, r.key = "INT", numberKey
	}
	if r.writers == 0 {
		r.writers = 8
	}
	if r.rows == 0 {
		r.rows = 12
	}
	l := newLab(t, s, m, r.keyType)
	end := startWriters(t, s, l.db, r.writers, r.key)
	if r.beside != nil {
		r.beside(l)
	}
	least, share := enoughReads, testenv.Budget(t)/races
	ctx, cancel := context.WithTimeout(t.Context(), naiveTime*time.Duration(len(r.naive))+realTime+share)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(r.naive)) {
		naive, err := l.run(ctx, plan{form: r.naive[name], rows: r.rows, late: r.late}, func(c *counts) bool {
			return c.wrong > 0 || c.took > naiveTime
		})
		if err != nil {
			t.Fatalf("naive form, %s: %v", name, err)
		}
		t.Logf("naive form, %s: %s", name, naive)
		if naive.wrong == 0 {
			t.Fatalf("the naive form (%s) was right in all its reads: this test cannot tell it from the real one", name)
		}
		least = max(least, naive.reads)
	}
	// What the naive forms left behind, and rows that never were, must be gone at the end.
	l.plant()
	proper, err := l.run(ctx, plan{rows: r.rows, late: r.late}, func(c *counts) bool {
		return c.wrong > 0 || c.reads >= least && c.passes > 0 && c.took >= share
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("real form: %s", proper)
	if proper.wrong > 0 {
		t.Errorf("a chunk is not what the table held at its boundary (-table +chunk):\n%s", proper.first)
	}
	l.finish(ctx, end)
}

// plant gives the destination rows that the table does not have: below, between and above its keys.
func (l *lab) plant() {
	for i, text := range []string{"!", "cy99", "~"} {
		v := change.IntValue([]int64{-5, 77, 500}[i])
		if l.table.Columns[0].Type.Kind == change.String {
			v = change.StringValue(text)
		}
		row := change.Row{v, change.IntValue(-1)}
		k, err := l.table.RowKey(row)
		if err != nil {
			l.Fatal(err)
		}
		l.held[k] = row
	}
}

// windows are the races between a chunk's read and its boundary, the same on every server; collation is
// one without case.
func windows(collation string) map[string]race {
	return map[string]race{
		"a key changes inside the window": {naive: map[string]form{
			"changed keys are left out":        {dropChanged: true},
			"the chunk is emitted as read":     {asRead: true},
			"it is rolled to High and no more": {rollToHigh: true},
		}, late: 12},
		"upper and lower case around a border": {naive: map[string]form{
			"ranges of key bytes": {binary: true},
		}, keyType: "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE " + collation, key: letterKey},
	}
}

// places is the race of a read with what was logged before it began.
func places(without naive) race {
	return race{naive: map[string]form{"what is logged is taken for visible": {reader: without}}, rows: wholeTable}
}

// TestRacesMariaDB: the precautions of design.md section 5, each shown to be needed on MariaDB.
func TestRacesMariaDB(t *testing.T) {
	s := testenv.MariaDB(t)
	all := windows("utf8mb4_general_ci")
	all["the log is ahead of visibility"] = places(naive{noWait: true})
	all["another session overwrites the snapshot's place"] = race{naive: map[string]form{
		// The content of a consistent snapshot at its own place would be exact as it was read.
		"one reading is believed": {reader: naive{singleReading: true}, asRead: true},
	}, rows: wholeTable, beside: hammerStatus}
	runAll(t, s, ConsistentSnapshot, all)
}

// TestRacesMySQL: the same on MySQL with GTIDs, where many writers commit in groups: between the first row
// of a group that is visible and the group's GTIDs lie the commits of the others.
func TestRacesMySQL(t *testing.T) {
	s := testenv.MySQL(t)
	all := windows("utf8mb4_0900_ai_ci")
	all["the log is ahead of visibility"] = places(naive{noWait: true})
	all["a row is ahead of its GTID"] = race{naive: map[string]form{
		"gtid_executed alone is the end": {reader: naive{executedOnly: true}},
	}, rows: wholeTable, writers: 16}
	runAll(t, s, ExecutedGTIDs, all)
}

// TestRacesWithoutGTIDs: only locks wait there for rows that are logged and not yet visible.
func TestRacesWithoutGTIDs(t *testing.T) {
	off := []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}
	t.Run("mysql", func(t *testing.T) { places(naive{noLock: true}).run(t, testenv.NewMySQL(t, off...), LockingRead) })
	t.Run("mysql57", func(t *testing.T) { places(naive{noLock: true}).run(t, testenv.NewMySQL57(t, off...), LockingRead) })
}

func runAll(t *testing.T, s *testenv.MySQLServer, m Method, all map[string]race) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) { all[name].run(t, s, m) })
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
				if err := drain(ctx, pool, "SHOW STATUS LIKE 'binlog%'"); err != nil && ctx.Err() == nil {
					l.Errorf("the monitoring session: %v", err)
					return
				}
			}
		})
	}
	l.Cleanup(func() {
		cancel()
		done.Wait()
		_ = pool.Close()
	})
}

func drain(ctx context.Context, q querier, query string) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
	}
	return rows.Err()
}

// TestLockingReadMeetsDeadlocks: the victim of a deadlock reads again, and does not do so for ever.
func TestLockingReadMeetsDeadlocks(t *testing.T) {
	l := newLab(t, testenv.MySQL(t), LockingRead, "INT")
	r := l.reader(form{})
	pauses := 0
	r.pause = func(context.Context, time.Duration) error { pauses++; return nil }
	deadlocks := func(n int) func(querier) error {
		return func(querier) error {
			if n--; n >= 0 {
				return fmt.Errorf("read: %w", &mysql.MySQLError{Number: 1213, Message: "Deadlock found"})
			}
			return nil
		}
	}
	if high, err := r.seenBy(t.Context(), l.pos, deadlocks(3)); err != nil || high.IsZero() || pauses != 3 {
		t.Errorf("after three deadlocks: place %s, %d pauses, error %v", high, pauses, err)
	}
	_, err := r.seenBy(t.Context(), l.pos, deadlocks(1000))
	var e *mysql.MySQLError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "source.snapshot.chunk_rows") {
		t.Errorf("error %v, want the deadlock and the way out", err)
	}
	pauses = 0
	gone := errors.New("gone")
	if _, err := r.seenBy(t.Context(), l.pos, func(querier) error { return gone }); !errors.Is(err, gone) || pauses != 0 {
		t.Errorf("error %v after %d pauses, want %v at once", err, pauses, gone)
	}
}
