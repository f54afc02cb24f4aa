package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"
	_ "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// destination is one leg of a test with several: a database that is delivered to, killed and read.
type destination struct {
	name string
	// settings are its lines in cdc.yaml, below sinks; empty for the scene's own destination.
	settings string
	// kill ends its server as a power switch would; restart brings it back.
	kill    func() error
	restart func(ctx context.Context) error

	db      *sql.DB
	dialect sample.Dialect
	// oneMoment is the isolation in which a transaction sees one moment of all tables; where apart is set there is
	// none: each statement sees a moment of its own.
	oneMoment sql.IsolationLevel
	apart     bool
	progress  string        // cdc_progress, quoted
	pause     time.Duration // before each look of a probe: looks are dear where the server is a double
}

// named is a table in the destination's dialect; schema may be empty.
func (d *destination) named(schema, table string) string {
	quote := map[sample.Dialect]string{sample.PostgreSQL: `"%s"`, sample.SQLServer: "[%s]", sample.ClickHouse: "`%s`"}[d.dialect]
	if schema == "" && d.dialect == sample.SQLServer {
		schema = "dbo"
	}
	if schema == "" {
		return fmt.Sprintf(quote, table)
	}
	return fmt.Sprintf(quote+"."+quote, schema, table)
}

// ledger is what transfers do not change, as text, at seq.
type ledger struct {
	sums string
	seq  int64
}

// ledger reads the answers to queries, and the place that the destination names for them: in one snapshot, or, where
// there is none, one after the other, the place first.
func (d *destination) ledger(ctx context.Context, stream string, queries []string) (l ledger, err error) {
	place := "SELECT seq FROM " + d.progress + " WHERE stream = '" + stream + "' AND table_name = ''"
	if d.apart {
		if err := d.db.QueryRowContext(ctx, place).Scan(&l.seq); err != nil {
			return l, err
		}
		l.sums, err = oneLine(ctx, d.db, d.textual(queries))
		return l, err
	}
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{Isolation: d.oneMoment})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if l.sums, err = oneLine(ctx, tx, queries); err != nil {
		return l, err
	}
	return l, tx.QueryRowContext(ctx, place).Scan(&l.seq)
}

// textual makes ClickHouse's answers text; database/sql does it for the others.
func (d *destination) textual(queries []string) []string {
	out := make([]string, len(queries))
	for i, q := range queries {
		out[i] = "SELECT * APPLY(toString) FROM (" + q + ")"
	}
	return out
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// oneLine is the values of the first row of each query, in one line.
func oneLine(ctx context.Context, q querier, queries []string) (string, error) {
	var out []string
	for _, query := range queries {
		values, err := firstRow(ctx, q, query)
		if err != nil {
			return "", err
		}
		out = append(out, values...)
	}
	return strings.Join(out, " "), nil
}

func firstRow(ctx context.Context, q querier, query string) (values []string, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values = make([]string, len(names))
	into := make([]any, len(names))
	for i := range into {
		into[i] = &values[i]
	}
	if !rows.Next() {
		return nil, errors.Join(rows.Err(), fmt.Errorf("%s: no row", query))
	}
	return values, rows.Scan(into...)
}

// look answers a probe of CustomerOrderFlat.
func (d *destination) look(ctx context.Context) (n int64, err error) {
	if err := pipeline.Sleep(ctx, d.pause); err != nil {
		return 0, err
	}
	err = d.db.QueryRowContext(ctx, sample.ProbeQuery(d.dialect, d.named("", "CustomerOrderFlat"), "")).Scan(&n)
	return n, err
}

// open connects the leg's own reader, until the end of the test.
func (d *destination) open(t *testing.T, db *sql.DB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(2)
	t.Cleanup(func() { _ = db.Close() }) // its server may be gone
	d.db = db
}

// ownPostgres moves the scene's destination to a server of its own, which may be killed, and returns it as a leg.
func (s *scene) ownPostgres() *destination {
	s.sink = testenv.NewPostgres(s.t)
	s.target = s.sink.CreateDatabase(s.t)
	d := &destination{
		name: "neptune", kill: s.sink.Kill9, restart: func(ctx context.Context) error { return s.sink.Restart(ctx) },
		dialect: sample.PostgreSQL, oneMoment: sql.LevelRepeatableRead, progress: "cdc_progress", pause: 2 * time.Millisecond,
	}
	db, err := sql.Open("pgx", s.sink.DSN(s.target))
	d.open(s.t, db, err)
	return d
}

// onSQLServer is a leg of SQL Server: a double of its own, which is crashed, or a database of the server that the
// environment names, which is cut off.
func onSQLServer(t *testing.T, name, deliver string) *destination {
	d := &destination{name: name, dialect: sample.SQLServer, oneMoment: sql.LevelSnapshot, progress: "[dbo].[cdc_progress]", pause: 10 * time.Millisecond}
	var server *testenv.SQLServerInstance
	var addr string
	if os.Getenv("CDC_TEST_SQLSERVER") != "" {
		server = testenv.SQLServer(t)
		proxy := testenv.NewProxy(t, server.Addr)
		addr = proxy.Addr
		d.kill = func() error { proxy.Refuse(); proxy.Cut(); return nil }
		d.restart = func(context.Context) error { return proxy.Heal() }
	} else {
		server = testenv.NewSQLServer(t)
		addr = server.Addr
		d.kill = server.Kill9
		d.restart = func(ctx context.Context) error { return server.Restart(ctx) }
	}
	database := server.CreateDatabase(t)
	if err := server.Exec(t.Context(), "", "ALTER DATABASE ["+database+"] SET ALLOW_SNAPSHOT_ISOLATION ON"); err != nil {
		t.Fatal(err)
	}
	d.settings = sqlServerSink(t, name, addr, server, database, deliver)
	db, err := sql.Open("sqlserver", server.DSN(database))
	d.open(t, db, err)
	return d
}

// onClickHouse is a leg of ClickHouse. Nothing there spans two tables; what a batch does to one table is one block
// as long as it fits into one, and becomes visible in one moment.
func onClickHouse(t *testing.T, name, deliver string) *destination {
	server := testenv.NewClickHouse(t)
	database := clickHouseDatabase(t, server)
	d := &destination{
		name: name, settings: clickHouseSink(t, name, server.Addr, server, database, deliver), apart: true,
		kill: server.Kill9, restart: func(ctx context.Context) error { return server.Restart(ctx) },
		dialect: sample.ClickHouse, progress: "cdc_progress FINAL", pause: 20 * time.Millisecond,
	}
	d.open(t, clickhouse.OpenDB(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{server.Addr},
		Auth: clickhouse.Auth{Database: database, Username: server.User, Password: server.Password},
	}), nil)
	return d
}

// deliverViews is the value of deliver for views under their own names.
func deliverViews(views []string) string {
	list := make([]string, len(views))
	for i, v := range views {
		list[i] = fmt.Sprintf("{from: view/%s}", v)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// sqlServerSink is a sink of type sqlserver in cdc.yaml; addr is the server's or a proxy's on this machine.
func sqlServerSink(t *testing.T, name, addr string, server *testenv.SQLServerInstance, database, deliver string) string {
	t.Helper()
	tls := "{mode: disable}"
	if server.CA != "" {
		tls = fmt.Sprintf("{mode: verify-full, ca: %q}", server.CA)
	}
	return sinkLines(t, name, "sqlserver", addr, database, server.User, server.Password, tls, deliver)
}

// clickHouseSink is a sink of type clickhouse in cdc.yaml.
func clickHouseSink(t *testing.T, name, addr string, server *testenv.ClickHouseServer, database, deliver string) string {
	t.Helper()
	return sinkLines(t, name, "clickhouse", addr, database, server.User, server.Password, "{mode: disable}", deliver)
}

// sinkLines are a sink in cdc.yaml; its password is in the environment of the daemons that the test starts.
func sinkLines(t *testing.T, name, kind, addr, database, user, password, tls, deliver string) string {
	t.Helper()
	variable := "E2E_PASSWORD_" + strings.ToUpper(name)
	t.Setenv(variable, password)
	return fmt.Sprintf("  %s:\n    type: %s\n    host: 127.0.0.1\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:%s}\n    tls: %s\n    retry: {max_backoff: 1s}\n    deliver: %s\n",
		name, kind, portOf(t, addr), database, user, variable, tls, deliver)
}

func clickHouseDatabase(t *testing.T, server *testenv.ClickHouseServer) string {
	t.Helper()
	name := "e2e_" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "_"))
	if err := server.Exec(t.Context(), "", "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Exec(context.Background(), "", "DROP DATABASE IF EXISTS "+name) // the server may be gone
	})
	return name
}
