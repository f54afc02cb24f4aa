package sample

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
)

// dangling counts references to rows that do not exist, by every foreign key.
func dangling(t *testing.T, db *sql.DB, schema string) int {
	t.Helper()
	s, err := openSession(t.Context(), db, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rows, err := s.conn.QueryContext(t.Context(), `SELECT table_name, column_name, referenced_table_name, referenced_column_name
		FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var queries []string
	for rows.Next() {
		var child, column, parent, key string
		if err := rows.Scan(&child, &column, &parent, &key); err != nil {
			t.Fatal(err)
		}
		queries = append(queries, fmt.Sprintf("SELECT COUNT(*) FROM `%s` c LEFT JOIN `%s` p ON p.`%s` = c.`%s` WHERE c.`%s` IS NOT NULL AND p.`%s` IS NULL",
			child, parent, key, column, column, key))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(queries) != 22 {
		t.Errorf("%d foreign keys, want Sakila's 22", len(queries))
	}
	total := 0
	for _, q := range queries {
		total += number(t, db, schema, q)
	}
	return total
}

func TestMixedLoadKeepsIntegrityAndTheLedger(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.02, Seed: 5})
		ledger := LedgerSum(MySQL, FlatSource(), "")
		before := inSchema(t, db, schema, ledger)
		digest := inSchema(t, db, schema, FlatDigest(MySQL, FlatSource(), ""))
		const transactions = 1000
		l := NewLoad(db, schema, LoadOptions{Seed: 11, Transactions: transactions})
		reads, stop := watchSum(t, db, schema, ledger, before)
		stats, err := l.Run(t.Context())
		stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d transactions, %d rows, %.0f rows/s, %d retries, %d skipped, %d reads of the ledger; %v",
			stats.Transactions, stats.Rows, stats.PerSecond(), stats.Retries, stats.Skipped, reads(), stats.Kinds)
		if got := stats.Transactions + stats.RolledBack + stats.Skipped; got != transactions {
			t.Errorf("%d transactions came to an end, want %d", got, transactions)
		}
		if stats.Skipped > transactions/5 {
			t.Errorf("%d of %d transactions were skipped: the load is not what it says", stats.Skipped, transactions)
		}
		for _, k := range sakilaKinds(Mixed) {
			if k.name != "rollback" && stats.Kinds[k.name] == 0 {
				t.Errorf("no transaction of kind %q was committed", k.name)
			}
		}
		if diff := cmp.Diff(before, inSchema(t, db, schema, ledger)); diff != "" {
			t.Errorf("the ledger changed:\n%s", diff)
		}
		if n := dangling(t, db, schema); n != 0 {
			t.Errorf("%d references to rows that do not exist", n)
		}
		if after := inSchema(t, db, schema, FlatDigest(MySQL, FlatSource(), "")); after[2] == digest[2] {
			t.Error("the join is what it was before the load")
		}
		if n := number(t, db, schema, "SELECT COUNT(*) FROM rental WHERE rental_id < 0"); n == 0 {
			t.Error("no negative key")
		}
	})
}

// watchSum reads a sum again and again while a load runs and compares it. stop ends that
// between two reads; reads is the number of them, to be asked after stop.
func watchSum(t *testing.T, db *sql.DB, schema, query string, want []string) (reads func() int, stop func()) {
	t.Helper()
	s, err := openSession(t.Context(), db, schema)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var ended atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer s.close()
		for !ended.Load() {
			got := make([]string, len(want))
			into := make([]any, len(want))
			for i := range got {
				into[i] = &got[i]
			}
			if err := s.conn.QueryRowContext(t.Context(), query).Scan(into...); err != nil {
				t.Errorf("read %d of the sum: %v", n, err)
				return
			}
			n++
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read %d of the sum (want -, got +):\n%s", n, diff)
				return
			}
		}
	})
	return func() int { return n }, func() { ended.Store(true); wg.Wait() }
}

func TestKeepSumKeepsTheTotalOfTheJoin(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.01, Seed: 6})
		sum := "SELECT SUM(Amount) FROM " + FlatSource()
		before := inSchema(t, db, schema, sum)
		reads, stop := watchSum(t, db, schema, sum, before)
		stats, err := NewLoad(db, schema, LoadOptions{Seed: 12, Transactions: 700, Mode: KeepSum}).Run(t.Context())
		stop()
		if err != nil {
			t.Fatal(err)
		}
		if stats.Kinds["transfer"] == 0 || stats.Kinds["flip to an equal rental"] == 0 || reads() == 0 {
			t.Errorf("%d reads; %v", reads(), stats.Kinds)
		}
		t.Logf("%d reads of the sum during %d transactions, %d skipped", reads(), stats.Transactions, stats.Skipped)
		if diff := cmp.Diff(before, inSchema(t, db, schema, sum)); diff != "" {
			t.Errorf("the sum changed:\n%s", diff)
		}
		if n := dangling(t, db, schema); n != 0 {
			t.Errorf("%d references to rows that do not exist", n)
		}
	})
}

func TestWatchedSumCanFail(t *testing.T) {
	// The check of the two tests above sees a mixed load change the total of the join.
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001, Seed: 6})
	sum := "SELECT SUM(Amount) FROM " + FlatSource()
	before := inSchema(t, db, schema, sum)
	if _, err := NewLoad(db, schema, LoadOptions{Transactions: 100}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := inSchema(t, db, schema, sum); cmp.Equal(before, after) {
		t.Errorf("the sum is still %v", after)
	}
}

func TestTransfersOnly(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	before := inSchema(t, db, schema, LedgerSum(MySQL, FlatSource(), ""))
	rest := inSchema(t, db, schema, fmt.Sprintf("SELECT SUM(amount), COUNT(*) FROM payment WHERE payment_id > %d", LedgerSize))
	stats, err := NewLoad(db, schema, LoadOptions{Transactions: 300, Mode: TransfersOnly}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Kinds["transfer"] < 200 || len(stats.Kinds) != 1 {
		t.Errorf("kinds: %v", stats.Kinds)
	}
	if diff := cmp.Diff(before, inSchema(t, db, schema, LedgerSum(MySQL, FlatSource(), ""))); diff != "" {
		t.Errorf("the ledger changed:\n%s", diff)
	}
	if diff := cmp.Diff(rest, inSchema(t, db, schema, fmt.Sprintf("SELECT SUM(amount), COUNT(*) FROM payment WHERE payment_id > %d", LedgerSize))); diff != "" {
		t.Errorf("other payments changed:\n%s", diff)
	}
}

func TestLoadWithOneWorkerIsRepeatable(t *testing.T) {
	o := LoadOptions{Seed: 21, Workers: 1, Transactions: 300}
	var answers [][]string
	db, schema := newSchema(t, testenv.MariaDB(t))
	for range 2 {
		if err := Drop(t.Context(), db, schema); err != nil {
			t.Fatal(err)
		}
		sakila(t, db, schema, Options{Scale: 0.001, Seed: 2})
		if _, err := NewLoad(db, schema, o).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, inSchema(t, db, schema, FlatDigest(MySQL, FlatSource(), "")))
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
		t.Errorf("the same seed led elsewhere:\n%s", diff)
	}
}

// killer is a pacer that kills the load's connections before every tenth transaction.
type killer struct {
	t      *testing.T
	db     *sql.DB
	schema string
	mu     sync.Mutex
	waits  int
}

func (k *killer) Wait(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waits++; k.waits%10 != 0 {
		return ctx.Err()
	}
	rows, err := k.db.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()", k.schema)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := k.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id)); err != nil && !isServerError(err, 1094) { // gone by itself
			k.t.Error(err)
		}
	}
	return rows.Err()
}

func TestLoadSurvivesLostConnections(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.001})
		k := &killer{t: t, db: db, schema: schema}
		stats, err := NewLoad(db, schema, LoadOptions{Workers: 2, Transactions: 60, Pacer: k}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Reconnects == 0 || stats.Transactions < 30 {
			t.Errorf("%d reconnects, %d transactions", stats.Reconnects, stats.Transactions)
		}
		if n := dangling(t, db, schema); n != 0 {
			t.Errorf("%d references to rows that do not exist", n)
		}
	})
}

func TestLoadEndsWithItsContext(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	ctx, cancel := context.WithCancel(t.Context())
	l := NewLoad(db, schema, LoadOptions{Pacer: stopAt{50, cancel, new(sync.Mutex), new(int)}})
	stats, err := l.Run(ctx)
	if err != nil {
		t.Fatalf("the end of its context is an error: %v", err)
	}
	if stats.Transactions+stats.Skipped+stats.RolledBack < 45 || stats.Elapsed <= 0 {
		t.Errorf("stats: %+v", stats)
	}
}

// stopAt cancels a context at the n-th wait.
type stopAt struct {
	n      int
	cancel context.CancelFunc
	mu     *sync.Mutex
	waits  *int
}

func (s stopAt) Wait(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *s.waits++; *s.waits == s.n {
		s.cancel()
	}
	return ctx.Err()
}

func TestPacerSpreadsEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(100)
		start := time.Now()
		for range 51 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("51 waits at 100 per second took %v, want 500ms", took)
		}
		// Nobody came for ten seconds: no burst afterwards.
		if err := sleep(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		for range 11 {
			if err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("11 waits after a stall took %v, want 100ms", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a wait with an ended context says %v", err)
		}
	})
}

func TestOutcomes(t *testing.T) {
	server := func(number uint16) error {
		return fmt.Errorf("commit: %w", &mysql.MySQLError{Number: number, Message: "said by the server"})
	}
	for want, errs := range map[result][]error{
		done:         {nil},
		rolledBack:   {errRolledBack},
		nothing:      {errNothing, server(1451)},
		conflict:     {server(1213), server(1205), server(1020), server(1062), server(1452), server(1761), server(1762)},
		disconnected: {driver.ErrBadConn, mysql.ErrInvalidConn, io.ErrUnexpectedEOF, server(1053), server(1927), &net.OpError{Op: "dial"}},
		fatal:        {server(1142), server(1146), server(1290), errors.New("anything else")},
	} {
		for _, err := range errs {
			if got := outcome(err); got != want {
				t.Errorf("outcome(%v) = %d, want %d", err, got, want)
			}
		}
	}
}

func TestFatalErrorEndsTheLoad(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	execIn(t, db, schema, "DROP TABLE "+UncapturedTable)
	_, err := NewLoad(db, schema, LoadOptions{Transactions: 2000}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), UncapturedTable) || !strings.Contains(err.Error(), schema) {
		t.Errorf("a table is missing, and Run says %v", err)
	}
}
