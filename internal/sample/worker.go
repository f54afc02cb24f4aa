package sample

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	maxTries           = 10 // of one transaction, before it is skipped
	transactionTimeout = 60 * time.Second
	minBackoff         = 50 * time.Millisecond
	maxBackoff         = 2 * time.Second
)

var (
	// errNothing: there is no row to do this to, or it makes no sense with the rows drawn.
	errNothing = errors.New("nothing to do")
	// errRolledBack: the transaction was rolled back on purpose.
	errRolledBack = errors.New("rolled back on purpose")
)

// worker is one connection of a load and its dice.
type worker struct {
	load      *Load
	dice      dice
	sess      session
	connected bool
	rows      int64 // affected by the transaction under way
	spans     map[string]*bounds
	stock     extent // of the warehouse sample
}

func (w *worker) work(ctx context.Context) error {
	for w.load.take() {
		if err := w.load.o.Pacer.Wait(ctx); err != nil {
			return err
		}
		if err := w.once(ctx, w.load.draw(&w.dice)); err != nil {
			return err
		}
	}
	return nil
}

// once brings one transaction to an end: committed, rolled back on purpose or skipped.
func (w *worker) once(ctx context.Context, k kind) error {
	backoff := minBackoff
	for tries := 1; ; tries++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := w.attempt(ctx, k)
		switch outcome(err) {
		case done:
			w.load.count(func(s *Stats) { s.Transactions++; s.Rows += w.rows; s.Kinds[k.name]++ })
			return nil
		case rolledBack:
			w.load.count(func(s *Stats) { s.RolledBack++ })
			return nil
		case nothing:
			w.load.count(func(s *Stats) { s.Skipped++ })
			return nil
		case conflict:
			if tries == maxTries {
				w.load.count(func(s *Stats) { s.Skipped++ })
				return nil
			}
			w.load.count(func(s *Stats) { s.Retries++ })
		case disconnected:
			w.disconnect()
			w.load.count(func(s *Stats) { s.Reconnects++ })
			tries-- // nobody's fault, and no limit: a server may be away for long
			if err := sleep(ctx, backoff); err != nil {
				return err
			}
			backoff = min(2*backoff, maxBackoff)
		case fatal:
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
}

// attempt runs the transaction once. Its own context outlives ctx, so that a load which
// is told to stop leaves nothing half done and no COMMIT with unknown outcome.
func (w *worker) attempt(ctx context.Context, k kind) error {
	if !w.connected {
		sess, err := openSession(ctx, w.load.db, w.load.schema)
		if err != nil {
			return err
		}
		w.sess, w.connected = sess, true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	w.rows = 0
	return k.run(ctx, w)
}

func (w *worker) disconnect() {
	if w.connected {
		w.sess.close()
		w.connected = false
	}
}

// tx is one transaction of a worker. A failed statement makes the whole of it fail.
type tx struct {
	*sql.Tx
	w *worker
}

// transaction runs f in a transaction and commits it if f returns nil.
func (w *worker) transaction(ctx context.Context, f func(t tx) error) error {
	stx, err := w.sess.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx{stx, w}); err != nil {
		// A rollback that fails has lost its connection, which the next statement finds.
		_ = stx.Rollback()
		return err
	}
	if err := stx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// exec runs a statement and returns the number of affected rows.
func (t tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", firstLine(query), err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: rows affected: %w", firstLine(query), err)
	}
	t.w.rows += n
	return n, nil
}

// must is exec for a statement that makes no sense when it affects no row.
func (t tx) must(ctx context.Context, query string, args ...any) error {
	n, err := t.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return errNothing
	}
	return err
}

// querier is a transaction or a connection outside of one.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scan reads one row; errNothing if there is none.
func scan(ctx context.Context, q querier, query string, args []any, into ...any) error {
	err := q.QueryRowContext(ctx, query, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return errNothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", firstLine(query), err)
	}
	return nil
}

type result int

const (
	done         result = iota
	rolledBack          // as intended
	nothing             // to be counted and left
	conflict            // with another transaction: try again
	disconnected        // connect and try again
	fatal
)

// outcome judges an attempt's error.
func outcome(err error) result {
	var op *net.OpError
	switch {
	case err == nil:
		return done
	case errors.Is(err, errRolledBack):
		return rolledBack
	case errors.Is(err, errNothing), isServerError(err, errRowIsReferenced):
		return nothing
	case isServerError(err, errDeadlock, errLockDeadlock, errLockWait, errRecordChanged, errDuplicateKey, errNoReferencedRow,
		errCascadeDuplicate, errCascadeDuplicateUnnamed):
		return conflict
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op),
		isServerError(err, errShutdown, errConnectionKilled, errQueryInterrupted),
		errors.Is(err, context.DeadlineExceeded):
		return disconnected
	default:
		return fatal
	}
}
