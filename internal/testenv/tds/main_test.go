package tds_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/internal/testenv/tds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// open connects to a database of its own on a server that the package's tests share.
func open(t *testing.T) *sql.DB {
	t.Helper()
	s := testenv.SQLServer(t)
	return openOn(t, s, s.CreateDatabase(t))
}

func openOn(t *testing.T, s *testenv.SQLServerInstance, database string) *sql.DB {
	t.Helper()
	connector, err := mssql.NewConnector(s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// private starts a double of the test's own.
func private(t *testing.T) (*sql.DB, *tds.Server) {
	t.Helper()
	s := testenv.NewSQLServer(t)
	return openOn(t, s, s.CreateDatabase(t)), s.Double
}

// session is one session of db.
func session(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a test may have cut it
	return c
}

// runner is a *sql.DB, *sql.Conn or *sql.Tx.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func exec(t *testing.T, r runner, query string, args ...any) int64 {
	t.Helper()
	res, err := r.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// table reads all rows of a query, as the driver gives them.
func table(t *testing.T, r runner, query string, args ...any) [][]any {
	t.Helper()
	rows, err := r.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	out, err := scanned(t, rows)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// scanned reads all rows, as the driver gives them.
func scanned(t *testing.T, rows *sql.Rows) (out [][]any, err error) {
	t.Helper()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// one reads a single value.
func one(t *testing.T, r runner, query string, args ...any) any {
	t.Helper()
	rows := table(t, r, query, args...)
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("%s: %d rows", query, len(rows))
	}
	return rows[0][0]
}

// number runs a statement that must fail and returns the server's number.
func number(t *testing.T, r runner, query string, args ...any) int32 {
	t.Helper()
	_, err := r.ExecContext(t.Context(), query, args...)
	return numberOf(t, query, err)
}

func numberOf(t *testing.T, what string, err error) int32 {
	t.Helper()
	var e mssql.Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v, which is no error of the server", what, err)
	}
	if len(e.All) > 0 {
		return e.All[0].Number
	}
	return e.Number
}
