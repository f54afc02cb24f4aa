package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// writers change table t of a database at full speed, in small transactions: inserts, replaces, updates,
// deletes and moves of keys. No two versions of a row are equal, so a stale row always shows.
type writers struct {
	key  func(*rand.Rand) string // an SQL literal
	last atomic.Int64            // the version given out last
	stop chan struct{}
	done sync.WaitGroup
}

// startWriters starts n writers; they end with end, or with the test.
func startWriters(t *testing.T, s *testenv.MySQLServer, db string, n int, key func(*rand.Rand) string) (end func()) {
	t.Helper()
	pool, err := s.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	w := &writers{key: key, stop: make(chan struct{})}
	for i := range n {
		conn, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			defer conn.Close()
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				for _, q := range w.transaction(rnd) {
					if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), q); err != nil && !gaveWay(err) {
						t.Errorf("writer %d: %s: %v", i, q, err)
						return
					}
				}
			}
		}()
	}
	end = sync.OnceFunc(func() {
		close(w.stop)
		w.done.Wait()
		_ = pool.Close()
	})
	t.Cleanup(end)
	return end
}

// gaveWay reports a deadlock or a lock that was not had in time: the writer goes on with something else.
func gaveWay(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == 1213 || e.Number == 1205)
}

// transaction is one statement, or a few in a transaction.
func (w *writers) transaction(rnd *rand.Rand) []string {
	if rnd.IntN(2) == 0 {
		return []string{w.statement(rnd)}
	}
	qs := []string{"BEGIN"}
	for range 1 + rnd.IntN(3) {
		qs = append(qs, w.statement(rnd))
	}
	return append(qs, "COMMIT")
}

func (w *writers) statement(rnd *rand.Rand) string {
	k, n := w.key(rnd), w.last.Add(1)
	switch rnd.IntN(8) {
	case 0, 1:
		return fmt.Sprintf("INSERT IGNORE INTO t VALUES (%s, %d)", k, n)
	case 2:
		return fmt.Sprintf("REPLACE INTO t VALUES (%s, %d)", k, n)
	case 3, 4:
		return fmt.Sprintf("DELETE FROM t WHERE k = %s", k)
	case 5:
		return fmt.Sprintf("UPDATE IGNORE t SET k = %s, n = %d WHERE k = %s", w.key(rnd), n, k)
	}
	return fmt.Sprintf("UPDATE t SET n = %d WHERE k = %s", n, k)
}

// numberKey draws one of 240 integer keys.
func numberKey(rnd *rand.Rand) string { return fmt.Sprint(rnd.IntN(240)) }

// letterKey draws a key of which there are several spellings, equal on the server under a collation
// without case.
func letterKey(rnd *rand.Rand) string {
	k := fmt.Sprintf("%c%c%d", 'a'+rnd.IntN(6), 'x'+rnd.IntN(2), rnd.IntN(16))
	if i := rnd.IntN(3); i < 2 {
		k = strings.ToUpper(k[:i+1]) + k[i+1:]
	}
	return "'" + k + "'"
}
