package sample

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Options says what Seed and SeedWarehouse write.
type Options struct {
	// Scale multiplies the size; 0 means 1, which is about 16,000 rentals and as many
	// payments (of the warehouse: 8,000 bins). Small scales have a floor, so that
	// every hard case is there.
	Scale float64
	// Seed decides every value. The same seed and scale give the same rows.
	Seed int64
	// Progress, if not nil, is called from time to time with the rows written so far,
	// the rows in all and the table under way; a last time with done = total.
	Progress func(done, total int, table string)
}

// Seed fills the empty Sakila schema that Create made. Rows are committed in pieces: a
// Seed that failed leaves part of them behind, and the way on is Drop and Create. The
// schema must be one that this package created (else ErrForeignSchema).
func Seed(ctx context.Context, db *sql.DB, schema string, o Options) error {
	s, err := newShape(o)
	if err != nil {
		return fmt.Errorf("seed %s: %w", schema, err)
	}
	return fill(ctx, db, schema, s.tables(), o.Progress)
}

func fill(ctx context.Context, db *sql.DB, schema string, tables []tableRows, progress func(int, int, string)) error {
	if err := requireOurs(ctx, db, schema); err != nil {
		return fmt.Errorf("seed %s: %w", schema, err)
	}
	sess, err := openSession(ctx, db, schema)
	if err != nil {
		return err
	}
	defer sess.close()
	w := rowWriter{conn: sess.conn, progress: progress}
	for _, t := range tables {
		w.total += t.count
		if err := requireEmpty(ctx, sess.conn, t.table); err != nil {
			return fmt.Errorf("seed %s: %w", schema, err)
		}
	}
	for _, t := range tables {
		if err := w.write(ctx, t); err != nil {
			return fmt.Errorf("seed %s.%s: %w", schema, t.table, err)
		}
	}
	return nil
}

func requireEmpty(ctx context.Context, conn *sql.Conn, table string) error {
	var filled bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+quoteName(table)+")").Scan(&filled); err != nil {
		return fmt.Errorf("look for rows in %s: %w", table, err)
	}
	if filled {
		return fmt.Errorf("table %s already has rows: drop the schema and create it again, or choose another name", table)
	}
	return nil
}

const (
	rowsPerInsert = 500  // placeholders stay below the protocol's 65,535 with any of our tables
	rowsPerCommit = 5000 // few enough for undo, many enough that fsync does not count
)

// rowWriter writes tables through one connection, in inserts of many rows.
type rowWriter struct {
	conn        *sql.Conn
	progress    func(done, total int, table string)
	done, total int
}

func (w *rowWriter) write(ctx context.Context, t tableRows) error {
	// Only store and staff refer to each other; everything else is checked by the server.
	if t.table == "store" || t.table == "staff" {
		if _, err := w.conn.ExecContext(ctx, "SET SESSION foreign_key_checks = 0"); err != nil {
			return fmt.Errorf("switch foreign_key_checks off: %w", err)
		}
		defer func() {
			// A connection that refuses this fails at the next insert as well.
			_, _ = w.conn.ExecContext(ctx, "SET SESSION foreign_key_checks = 1")
		}()
	}
	commit := make([][]any, 0, rowsPerCommit)
	for row := range t.rows {
		commit = append(commit, row)
		if len(commit) == rowsPerCommit {
			if err := w.commit(ctx, t, commit); err != nil {
				return err
			}
			commit = commit[:0]
		}
	}
	if len(commit) == 0 {
		return nil
	}
	return w.commit(ctx, t, commit)
}

// commit writes the rows in one transaction.
func (w *rowWriter) commit(ctx context.Context, t tableRows, rows [][]any) error {
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it has nothing to do
	full, err := prepareInsert(ctx, tx, t, min(rowsPerInsert, len(rows)))
	if err != nil {
		return err
	}
	for len(rows) >= rowsPerInsert {
		if err := insertRows(ctx, full, rows[:rowsPerInsert]); err != nil {
			return err
		}
		rows = rows[rowsPerInsert:]
		w.report(rowsPerInsert, t.table)
	}
	if len(rows) > 0 {
		rest, err := prepareInsert(ctx, tx, t, len(rows))
		if err != nil {
			return err
		}
		if err := insertRows(ctx, rest, rows); err != nil {
			return err
		}
		w.report(len(rows), t.table)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (w *rowWriter) report(rows int, table string) {
	w.done += rows
	if w.progress != nil {
		w.progress(w.done, w.total, table)
	}
}

// prepareInsert prepares an insert of n rows; the transaction closes it.
func prepareInsert(ctx context.Context, tx *sql.Tx, t tableRows, n int) (*sql.Stmt, error) {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	text := "INSERT INTO " + quoteName(t.table) + " (" + strings.Join(t.columns, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(one+",", n), ",")
	stmt, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare an insert of %d rows: %w", n, err)
	}
	return stmt, nil
}

func insertRows(ctx context.Context, stmt *sql.Stmt, rows [][]any) error {
	args := make([]any, 0, len(rows)*len(rows[0]))
	for _, row := range rows {
		args = append(args, row...)
	}
	if _, err := stmt.ExecContext(ctx, args...); err != nil {
		return fmt.Errorf("insert %d rows from key %v on: %w", len(rows), rows[0][0], err)
	}
	return nil
}
