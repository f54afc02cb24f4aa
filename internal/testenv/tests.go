package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// TB is the part of testing.TB that this package uses; naming it here keeps
// package testing out of programs that start servers for a demo.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(f func())
}

// Runner is what TestMain receives (*testing.M).
type Runner interface{ Run() int }

// Main runs a package's tests and ends the process with their status. It is
// what TestMain of a package calls whose tests ask for servers:
// they are started at the first wish, shared by the tests of the package,
// and stopped at the end, also at Ctrl-C.
func Main(m Runner) { os.Exit(Wrap(m).Run()) }

// Wrap is Main for a TestMain that has more to do around the tests, such as
// goleak.VerifyTestMain(testenv.Wrap(m)): Run returns instead of exiting.
func Wrap(m Runner) Runner { return wrapped{m} }

type wrapped struct{ m Runner }

func (w wrapped) Run() int {
	s := &session{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer s.cancel()
	current.Store(s)
	defer current.Store(nil)

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	finished := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case sig := <-signals:
			fmt.Fprintf(os.Stderr, "testenv: %v: stopping the servers\n", sig)
			s.cancel()
			if err := s.close(); err != nil {
				fmt.Fprintf(os.Stderr, "testenv: %v\n", err)
			}
			os.Exit(130)
		case <-finished:
		}
	}()
	code := w.m.Run()
	signal.Stop(signals)
	close(finished)
	<-watcher
	s.cancel()
	if err := s.close(); err != nil {
		fmt.Fprintf(os.Stderr, "testenv: stop the servers: %v\n", err)
		return 1
	}
	return code
}

// current is the session of this test process. It is a package variable
// because the testing package offers no other place that all tests of a
// package can reach; nothing outside of tests touches it.
var current atomic.Pointer[session]

// session is the Env of a test process and the servers its tests share.
type session struct {
	ctx    context.Context // the test run, for starts that tests share
	cancel context.CancelFunc

	mu         sync.Mutex
	env        *Env
	closed     bool
	mariadb    shared[*MySQLServer]
	mysql      shared[*MySQLServer]
	mysql57    shared[*MySQLServer]
	postgres   shared[*PostgresServer]
	kafka      shared[*KafkaServer]
	sqlserver  shared[*SQLServerInstance]
	clickhouse shared[*ClickHouseServer]
}

// shared is a server that is started at the first wish, once.
type shared[S any] struct {
	once   sync.Once
	server S
	err    error
}

func (s *shared[S]) get(start func() (S, error)) (S, error) {
	s.once.Do(func() { s.server, s.err = start() })
	return s.server, s.err
}

func (s *session) environment() (*Env, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("start test servers: the test run is over")
	}
	if s.env == nil {
		env, err := Start(s.ctx, Options{Log: os.Stderr})
		if err != nil {
			return nil, err
		}
		s.env = env
	}
	return s.env, nil
}

func (s *session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.env == nil {
		return nil
	}
	return s.env.Close()
}

// MariaDB returns the MariaDB server that the package's tests share; a test
// takes a database of its own on it (CreateDatabase) and leaves settings alone.
func MariaDB(t TB) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := s.mariadb.get(func() (*MySQLServer, error) { return env.MariaDB(s.ctx) })
	return must(t, env, KindMariaDB, server, err)
}

// MySQL returns the MySQL server that the package's tests share.
func MySQL(t TB) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := s.mysql.get(func() (*MySQLServer, error) { return env.MySQL(s.ctx) })
	return must(t, env, KindMySQL, server, err)
}

// MySQL57 returns the MySQL 5.7 server that the package's tests share.
func MySQL57(t TB) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := s.mysql57.get(func() (*MySQLServer, error) { return env.MySQL57(s.ctx) })
	return must(t, env, KindMySQL57, server, err)
}

// Postgres returns the PostgreSQL server that the package's tests share.
func Postgres(t TB) *PostgresServer {
	t.Helper()
	s, env := open(t)
	server, err := s.postgres.get(func() (*PostgresServer, error) { return env.Postgres(s.ctx) })
	return must(t, env, KindPostgres, server, err)
}

// Kafka returns the Apache Kafka node that the package's tests share; a test
// makes topics under a prefix of its own.
func Kafka(t TB) *KafkaServer {
	t.Helper()
	s, env := open(t)
	server, err := s.kafka.get(func() (*KafkaServer, error) { return env.Kafka(s.ctx) })
	return must(t, env, KindKafka, server, err)
}

// ClickHouse returns the ClickHouse server that the package's tests share; a
// test takes a database of its own on it (CreateDatabase).
func ClickHouse(t TB) *ClickHouseServer {
	t.Helper()
	s, env := open(t)
	server, err := s.clickhouse.get(func() (*ClickHouseServer, error) { return env.ClickHouse(s.ctx) })
	return must(t, env, KindClickHouse, server, err)
}

// NewMariaDB starts a MariaDB server for one test, who may kill it or change
// its settings; extra are further arguments. It ends with the test.
func NewMariaDB(t TB, extra ...string) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startMySQL(s.ctx, mariadbFlavor, ownSource, extra)
	return mustPrivate(t, env, KindMariaDB, server, err)
}

// NewMySQL starts a MySQL server for one test, as NewMariaDB does.
func NewMySQL(t TB, extra ...string) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startMySQL(s.ctx, mysqlFlavor, ownSource, extra)
	return mustPrivate(t, env, KindMySQL, server, err)
}

// NewMySQL57 starts a MySQL 5.7 server for one test, as NewMariaDB does.
func NewMySQL57(t TB, extra ...string) *MySQLServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startMySQL(s.ctx, mysql57Flavor, ownSource, extra)
	return mustPrivate(t, env, KindMySQL57, server, err)
}

// NewPostgres starts a PostgreSQL server for one test; each extra is a
// setting, "name=value". It ends with the test.
func NewPostgres(t TB, extra ...string) *PostgresServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startPostgres(s.ctx, ownSource, extra)
	server = must(t, env, KindPostgres, server, err)
	discard(t, server.Server)
	return server
}

// NewKafka starts an Apache Kafka node for one test. It ends with the test.
func NewKafka(t TB) *KafkaServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startKafka(s.ctx, ownSource)
	server = must(t, env, KindKafka, server, err)
	discard(t, server.Server)
	return server
}

// NewClickHouse starts a ClickHouse server for one test, who may kill it. It
// ends with the test.
func NewClickHouse(t TB) *ClickHouseServer {
	t.Helper()
	s, env := open(t)
	server, err := env.startClickHouse(s.ctx, ownSource)
	server = must(t, env, KindClickHouse, server, err)
	discard(t, server.Server)
	return server
}

func mustPrivate(t TB, env *Env, kind string, server *MySQLServer, err error) *MySQLServer {
	t.Helper()
	server = must(t, env, kind, server, err)
	discard(t, server.Server)
	return server
}

// discard ends a test's own server with the test and frees its disk space.
func discard(t TB, s *Server) {
	t.Cleanup(func() {
		if err := s.reset(); err != nil {
			t.Fatalf("testenv: %v", err)
		}
	})
}

func open(t TB) (*session, *Env) {
	t.Helper()
	s := current.Load()
	if s == nil {
		t.Fatalf("testenv: this package's tests use servers, so it needs: func TestMain(m *testing.M) { testenv.Main(m) }")
	}
	env, err := s.environment()
	if err != nil {
		t.Fatalf("testenv: %v", err)
	}
	return s, env
}

// must ends the test if there is no server: as failed if CDC_REQUIRE names
// the kind or the server exists and does not work, else as skipped.
func must[S any](t TB, env *Env, kind string, server S, err error) S {
	t.Helper()
	if err == nil {
		return server
	}
	if !IsMissing(err) {
		t.Fatalf("testenv: %v", err)
	}
	if reportErr := env.reportMissing(kind); reportErr != nil {
		t.Fatalf("testenv: %v", reportErr)
	}
	if required(os.Getenv("CDC_REQUIRE"), kind) {
		t.Fatalf("testenv: CDC_REQUIRE asks for %s: %v", kind, err)
	}
	env.logf("SKIPPED for want of %s (CDC_REQUIRE=%s makes this a failure)", kind, kind)
	t.Skipf("testenv: %v", err)
	return server
}

// required reports whether a comma list of kinds, or "all", names kind.
func required(list, kind string) bool {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(names, kind) || slices.Contains(names, "all")
}

// Budget is how long each random test goes on beyond its minimum: what
// CDC_TEST_BUDGET says, as a Go duration or a number of seconds; 0 without it.
func Budget(t TB) time.Duration {
	t.Helper()
	text := os.Getenv("CDC_TEST_BUDGET")
	if text == "" {
		return 0
	}
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("testenv: CDC_TEST_BUDGET=%q is neither a duration, such as 60s, nor a number of seconds", text)
	}
	return d
}

// databases numbers the databases that tests of this process make.
var databases atomic.Int64

// databaseName is unique on a server that several processes may share.
func databaseName() string {
	return fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
}

const databaseTimeout = 30 * time.Second

// CreateDatabase makes an empty database for one test and returns its name.
// It is dropped with the test, if the server still answers.
func (s *MySQLServer) CreateDatabase(t TB) string {
	t.Helper()
	name := databaseName()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := s.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		_ = s.Exec(ctx, "DROP DATABASE IF EXISTS "+name) // the test may have killed the server
	})
	return name
}

// CreateDatabase makes an empty database for one test and returns its name.
// It is dropped with the test, with the sessions still in it, if the server
// still answers.
func (s *PostgresServer) CreateDatabase(t TB) string {
	t.Helper()
	name := databaseName()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := s.Exec(ctx, "", "CREATE DATABASE "+name); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		_ = s.Exec(ctx, "", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // the test may have killed the server
	})
	return name
}

// CreateDatabase makes an empty database for one test and returns its name.
// It is dropped with the test, if the server still answers.
func (s *ClickHouseServer) CreateDatabase(t TB) string {
	t.Helper()
	name := databaseName()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := s.Exec(ctx, "", "CREATE DATABASE "+name); err != nil {
		t.Fatalf("testenv: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		_ = s.Exec(ctx, "", "DROP DATABASE IF EXISTS "+name+" SYNC") // the test may have killed the server
	})
	return name
}
