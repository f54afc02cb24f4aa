package sample

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// families are the servers that every claim about rows is checked on.
func families() map[string]func(testenv.TB) *testenv.MySQLServer {
	return map[string]func(testenv.TB) *testenv.MySQLServer{"mariadb": testenv.MariaDB, "mysql": testenv.MySQL}
}

// eachFamily runs a test once per server family, with a schema name of its own that
// is dropped at the end.
func eachFamily(t *testing.T, test func(t *testing.T, db *sql.DB, schema string)) {
	t.Helper()
	for name, server := range families() {
		t.Run(name, func(t *testing.T) {
			db, schema := newSchema(t, server(t))
			test(t, db, schema)
		})
	}
}

func newSchema(t *testing.T, server *testenv.MySQLServer) (*sql.DB, string) {
	t.Helper()
	db, err := server.Open("")
	if err != nil {
		t.Fatal(err)
	}
	// Of this process, so that two runs on one server do not meet.
	name := fnv.New32a()
	_, _ = name.Write([]byte(t.Name())) // never fails
	schema := fmt.Sprintf("sample_%d_%x", os.Getpid(), name.Sum32())
	t.Cleanup(func() {
		if err := Drop(context.WithoutCancel(t.Context()), db, schema); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, schema
}

// sakila creates and seeds the Sakila sample.
func sakila(t *testing.T, db *sql.DB, schema string, o Options) {
	t.Helper()
	if err := Create(t.Context(), db, schema); err != nil {
		t.Fatal(err)
	}
	if err := Seed(t.Context(), db, schema, o); err != nil {
		t.Fatal(err)
	}
}

// inSchema asks for one row of text in a session of the schema.
func inSchema(t *testing.T, db *sql.DB, schema, query string) []string {
	t.Helper()
	s, err := openSession(t.Context(), db, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rows, err := s.conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values := make([]string, len(columns))
	into := make([]any, len(columns))
	for i := range into {
		into[i] = &values[i]
	}
	if !rows.Next() {
		t.Fatalf("%s: no row: %v", query, rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

func number(t *testing.T, db *sql.DB, schema, query string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(inSchema(t, db, schema, query)[0], &n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
