package testenv_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// kinds are the MySQL-family servers, by how to get one of one's own.
var kinds = map[string]func(t *testing.T, extra ...string) *testenv.MySQLServer{
	testenv.KindMariaDB: func(t *testing.T, extra ...string) *testenv.MySQLServer { return testenv.NewMariaDB(t, extra...) },
	testenv.KindMySQL:   func(t *testing.T, extra ...string) *testenv.MySQLServer { return testenv.NewMySQL(t, extra...) },
	testenv.KindMySQL57: func(t *testing.T, extra ...string) *testenv.MySQLServer { return testenv.NewMySQL57(t, extra...) },
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// queryInt reads one number from a MySQL-family server.
func queryInt(t *testing.T, s *testenv.MySQLServer, database, query string) int {
	t.Helper()
	db, err := s.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRowContext(testContext(t), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestMySQLFamilySettings holds the settings that the product's tests rely on.
func TestMySQLFamilySettings(t *testing.T) {
	want := map[string]map[string]string{
		"": {
			"log_bin": "1", "binlog_format": "ROW", "binlog_row_image": "FULL",
			"sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "character_set_server": "utf8mb4",
			"performance_schema": "0", "skip_name_resolve": "1",
		},
		testenv.KindMariaDB: {"gtid_strict_mode": "1", "binlog_row_metadata": "FULL"},
		testenv.KindMySQL:   {"gtid_mode": "ON", "enforce_gtid_consistency": "ON", "binlog_row_metadata": "FULL"},
		testenv.KindMySQL57: {"gtid_mode": "ON", "enforce_gtid_consistency": "ON"}, // it knows no row metadata
	}
	servers := map[string]func(testenv.TB) *testenv.MySQLServer{
		testenv.KindMariaDB: testenv.MariaDB, testenv.KindMySQL: testenv.MySQL,
		testenv.KindMySQL57: testenv.MySQL57,
	}
	for kind, get := range servers {
		t.Run(kind, func(t *testing.T) {
			s := get(t)
			if again := get(t); again != s {
				t.Error("a second wish got another server: they must be shared within a package")
			}
			if family := strings.TrimSuffix(kind, "57"); s.Flavor != family || s.Kind != kind {
				t.Errorf("Flavor %q, Kind %q; want %q, %q", s.Flavor, s.Kind, family, kind)
			}
			if old := strings.HasPrefix(s.Version, "5.7."); old != (kind == testenv.KindMySQL57) && s.From != "npm" {
				t.Errorf("version %q for %s", s.Version, kind)
			}
			if isMariaDB := strings.Contains(s.Version, "MariaDB"); isMariaDB != (kind == testenv.KindMariaDB) {
				t.Errorf("version %q does not belong to %s", s.Version, kind)
			}
			db, err := s.Open("")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, part := range []string{"", kind} {
				for name, value := range want[part] {
					var got string
					if err := db.QueryRowContext(testContext(t), "SELECT @@GLOBAL."+name).Scan(&got); err != nil {
						t.Fatal(err)
					}
					if got != value {
						t.Errorf("%s = %q, want %q", name, got, value)
					}
				}
			}
		})
	}
}

func TestCreateDatabase(t *testing.T) {
	s := testenv.MariaDB(t)
	var first string
	t.Run("two tests", func(t *testing.T) {
		first = s.CreateDatabase(t)
		if second := s.CreateDatabase(t); first == second {
			t.Errorf("both got %s", first)
		}
		if n := queryInt(t, s, "", "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '"+first+"'"); n != 1 {
			t.Errorf("database %s: %d found, want 1", first, n)
		}
	})
	if n := queryInt(t, s, "", "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '"+first+"'"); n != 0 {
		t.Errorf("database %s is still there after its test", first)
	}
}

// TestMySQLFamilyKill9 kills a server, restarts it on its data and finds what
// was committed; then again with other settings, and frozen.
func TestMySQLFamilyKill9(t *testing.T) {
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			s := start(t, "--binlog-row-image=MINIMAL")
			if n := queryInt(t, s, "", "SELECT @@GLOBAL.binlog_row_image = 'MINIMAL'"); n != 1 {
				t.Error("an extra argument did not win over the default")
			}
			if err := s.Exec(ctx, "CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1), (2)"); err != nil {
				t.Fatal(err)
			}
			addr := s.Addr
			if err := s.Kill9(); err != nil {
				t.Fatal(err)
			}
			if err := s.Exec(ctx, "SELECT 1"); err == nil {
				t.Fatal("the server answers after kill -9")
			}
			if err := s.Restart(ctx, "--binlog-row-image=NOBLOB"); err != nil {
				t.Fatal(err)
			}
			if s.Addr != addr {
				t.Errorf("address %s after a restart, want %s", s.Addr, addr)
			}
			if n := queryInt(t, s, "d", "SELECT COUNT(*) FROM t"); n != 2 {
				t.Errorf("%d rows after kill -9, want 2", n)
			}
			if n := queryInt(t, s, "", "SELECT @@GLOBAL.binlog_row_image = 'NOBLOB'"); n != 1 {
				t.Error("Restart did not replace the extra arguments")
			}
			pauseAnswers(t, s.Server, func(ctx context.Context) error { return s.Exec(ctx, "SELECT 1") })
			if err := s.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.Exec(ctx, "SELECT 1"); err == nil {
				t.Error("the server answers after Stop")
			}
		})
	}
}

// pauseAnswers checks that a server is silent while paused and answers after.
func pauseAnswers(t *testing.T, s *testenv.Server, ask func(context.Context) error) {
	t.Helper()
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := ask(short); err == nil {
		t.Error("a paused server answers")
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := ask(testContext(t)); err != nil {
		t.Errorf("after Continue: %v", err)
	}
}

func TestPostgresKill9(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testenv.NewPostgres(t, "work_mem=1MB")
	if err := s.Exec(ctx, "", "CREATE TABLE t (a int, UNIQUE NULLS NOT DISTINCT (a))", "INSERT INTO t VALUES (1), (NULL)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(ctx, "", "SELECT 1"); err == nil {
		t.Fatal("the server answers after kill -9")
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for query, want := range map[string]string{
		"SELECT count(*)::text FROM t":              "2",
		"SELECT current_setting('work_mem')":        "1MB",
		"SELECT current_setting('fsync')":           "on",
		"SELECT current_setting('server_encoding')": "UTF8",
		"SELECT ('a' < 'B')::text":                  "true", // not the order of bytes
		"SELECT (rolpassword LIKE 'SCRAM-SHA-256%')::text FROM pg_authid WHERE rolname = current_user": "true",
	} {
		var got string
		if err := conn.QueryRow(ctx, query).Scan(&got); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if got != want {
			t.Errorf("%s = %s, want %s", query, got, want)
		}
	}
	pauseAnswers(t, s.Server, func(ctx context.Context) error { return s.Exec(ctx, "", "SELECT 1") })
}

// TestCloseLeavesNothing starts every kind in an Env of its own and closes it
// while one is paused and one is dead.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	var log strings.Builder
	env, err := testenv.Start(ctx, testenv.Options{Log: &log, Report: t.TempDir() + "/report"})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	mariadb, err := env.MariaDB(ctx)
	if testenv.IsMissing(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	pg, err := env.Postgres(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if mariadb.From != "environment" {
		if err := mariadb.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if pg.From != "environment" {
		if err := pg.Kill9(); err != nil {
			t.Fatal(err)
		}
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := os.Stat(env.Dir()); !os.IsNotExist(err) {
		t.Errorf("the folder %s is still there: %v", env.Dir(), err)
	}
	if mariadb.From != "environment" {
		if err := mariadb.Exec(ctx, "SELECT 1"); err == nil {
			t.Error("MariaDB answers after Close")
		}
	}
	if _, err := env.MariaDB(ctx); err == nil {
		t.Error("a closed Env started a server")
	}
	for _, want := range []string{"mariadb " + mariadb.Version + " answers on ", "postgres " + pg.Version + " answers on "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}
