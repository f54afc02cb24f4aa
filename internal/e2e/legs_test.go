package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/pgx/v5"
	mssql "github.com/microsoft/go-mssqldb"

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
	// ledger reads what all states of the source have in common, and the place that the destination names for it:
	// in one snapshot, or, where apart is set, each view by itself, after the place.
	ledger func(ctx context.Context) (ledger, error)
	apart  bool
	// digest is count, sum and digest of each view's rows, as the source is asked for them too.
	digest func(ctx context.Context) ([][3]string, error)
}

// ledger is what transfers do not change, at seq.
type ledger struct {
	sum, rows, stock string
	seq              int64
}

// deliverViews is the value of deliver for views under their own names.
func deliverViews(views []string) string {
	list := make([]string, len(views))
	for i, v := range views {
		list[i] = fmt.Sprintf("{from: view/%s}", v)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// ownPostgres moves the scene's destination to a server of its own, which may be killed, and returns it as a leg.
func (s *scene) ownPostgres() destination {
	s.sink = testenv.NewPostgres(s.t)
	s.target = s.sink.CreateDatabase(s.t)
	return onPostgres(s.t, "neptune", s.sink, s.target)
}

func onPostgres(t *testing.T, name string, server *testenv.PostgresServer, database string) destination {
	var conn *pgx.Conn // of the one goroutine that reads
	t.Cleanup(func() {
		if conn != nil {
			_ = conn.Close(context.Background()) // its server may be gone
		}
	})
	return destination{
		name: name, kill: server.Kill9, restart: func(ctx context.Context) error { return server.Restart(ctx) },
		ledger: func(ctx context.Context) (l ledger, err error) {
			if conn == nil || conn.IsClosed() {
				if conn, err = pgx.Connect(ctx, server.DSN(database)); err != nil {
					return l, err
				}
			}
			err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				return errors.Join(
					tx.QueryRow(ctx, sample.LedgerSum(sample.PostgreSQL, `"CustomerOrderFlat"`, "")).Scan(&l.sum, &l.rows),
					tx.QueryRow(ctx, sample.WarehouseLedgerSum(sample.PostgreSQL, `"StockSheet"`, "")).Scan(&l.stock),
					tx.QueryRow(ctx, "SELECT seq FROM cdc_progress WHERE stream = $1 AND table_name = ''", viewStream).Scan(&l.seq))
			})
			return l, err
		},
		digest: func(ctx context.Context) (all [][3]string, err error) {
			c, err := pgx.Connect(ctx, server.DSN(database))
			if err != nil {
				return nil, err
			}
			defer c.Close(context.WithoutCancel(ctx))
			for _, q := range []string{
				sample.FlatDigest(sample.PostgreSQL, `"CustomerOrderFlat"`, ""), sample.WarehouseDigest(sample.PostgreSQL, `"StockSheet"`, ""),
			} {
				var d [3]string
				if err := c.QueryRow(ctx, q).Scan(&d[0], &d[1], &d[2]); err != nil {
					return nil, err
				}
				all = append(all, d)
			}
			return all, nil
		},
	}
}

// sqlServerSink is a sink of type sqlserver in cdc.yaml; its password is in the variable that the lines name.
func sqlServerSink(t *testing.T, name, addr string, server *testenv.SQLServerInstance, database, more string) string {
	t.Helper()
	variable := passwordOf(t, name, server.Password)
	tls := "{mode: disable}"
	if server.CA != "" {
		tls = fmt.Sprintf("{mode: verify-full, ca: %q}", server.CA)
	}
	return fmt.Sprintf("  %s:\n    type: sqlserver\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:%s}\n    tls: %s\n    retry: {max_backoff: 1s}\n%s",
		name, "127.0.0.1", portOf(t, addr), database, server.User, variable, tls, more)
}

// clickHouseSink is a sink of type clickhouse in cdc.yaml.
func clickHouseSink(t *testing.T, name, addr string, server *testenv.ClickHouseServer, database, more string) string {
	t.Helper()
	return fmt.Sprintf("  %s:\n    type: clickhouse\n    host: 127.0.0.1\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:%s}\n    tls: {mode: disable}\n    retry: {max_backoff: 1s}\n%s",
		name, portOf(t, addr), database, server.User, passwordOf(t, name, server.Password), more)
}

// passwordOf puts a password into the environment of the daemons that the test starts.
func passwordOf(t *testing.T, name, password string) (variable string) {
	t.Helper()
	variable = "E2E_PASSWORD_" + strings.ToUpper(name)
	t.Setenv(variable, password)
	return variable
}

// onSQLServer is a leg of SQL Server: a double of its own, which is crashed, or a database of the server that the
// environment names, which is cut off.
func onSQLServer(t *testing.T, name string, views []string) destination {
	var server *testenv.SQLServerInstance
	var leg destination
	addr := ""
	if os.Getenv("CDC_TEST_SQLSERVER") != "" {
		server = testenv.SQLServer(t)
		proxy := testenv.NewProxy(t, server.Addr)
		addr = proxy.Addr
		leg.kill = func() error { proxy.Refuse(); proxy.Cut(); return nil }
		leg.restart = func(context.Context) error { return proxy.Heal() }
	} else {
		server = testenv.NewSQLServer(t)
		addr = server.Addr
		leg.kill = server.Kill9
		leg.restart = func(ctx context.Context) error { return server.Restart(ctx) }
	}
	database := server.CreateDatabase(t)
	if err := server.Exec(t.Context(), "", "ALTER DATABASE ["+database+"] SET ALLOW_SNAPSHOT_ISOLATION ON"); err != nil {
		t.Fatal(err)
	}
	leg.name = name
	leg.settings = sqlServerSink(t, name, addr, server, database, "    deliver: "+deliverViews(views)+"\n")
	connector, err := mssql.NewConnector(server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() }) // its server may be gone
	leg.ledger = func(ctx context.Context) (l ledger, err error) {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSnapshot})
		if err != nil {
			return l, err
		}
		err = errors.Join(
			tx.QueryRowContext(ctx, sample.LedgerSum(sample.SQLServer, "[dbo].[CustomerOrderFlat]", "")).Scan(&l.sum, &l.rows),
			tx.QueryRowContext(ctx, sample.WarehouseLedgerSum(sample.SQLServer, "[dbo].[StockSheet]", "")).Scan(&l.stock),
			tx.QueryRowContext(ctx, "SELECT [seq] FROM [dbo].[cdc_progress] WHERE [stream] = @p1 AND [table_name] = N''", viewStream).Scan(&l.seq))
		return l, errors.Join(err, tx.Rollback())
	}
	leg.digest = func(ctx context.Context) ([][3]string, error) {
		return digestsOf(ctx, db, sample.SQLServer, "[dbo].[CustomerOrderFlat]", "[dbo].[StockSheet]")
	}
	return leg
}

// onClickHouse is a leg of ClickHouse. Nothing there spans two tables; what a batch does to one view is one block
// as long as it fits into one, and becomes visible in one moment.
func onClickHouse(t *testing.T, name string, views []string) destination {
	server := testenv.NewClickHouse(t)
	database := clickHouseDatabase(t, server)
	db := clickhouse.OpenDB(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{server.Addr},
		Auth: clickhouse.Auth{Database: database, Username: server.User, Password: server.Password},
	})
	t.Cleanup(func() { _ = db.Close() }) // its server may be gone
	return destination{
		name: name, settings: clickHouseSink(t, name, server.Addr, server, database, "    deliver: "+deliverViews(views)+"\n"), apart: true,
		kill: server.Kill9, restart: func(ctx context.Context) error { return server.Restart(ctx) },
		ledger: func(ctx context.Context) (l ledger, err error) {
			err = errors.Join(
				db.QueryRowContext(ctx, "SELECT toInt64(seq) FROM cdc_progress FINAL WHERE stream = '"+viewStream+"' AND table_name = ''").Scan(&l.seq),
				db.QueryRowContext(ctx, textual(sample.LedgerSum(sample.ClickHouse, "CustomerOrderFlat", ""))).Scan(&l.sum, &l.rows),
				db.QueryRowContext(ctx, textual(sample.WarehouseLedgerSum(sample.ClickHouse, "StockSheet", ""))).Scan(&l.stock))
			return l, err
		},
		digest: func(ctx context.Context) ([][3]string, error) {
			return digestsOf(ctx, db, sample.ClickHouse, "CustomerOrderFlat", "StockSheet")
		},
	}
}

// textual asks for a query's columns as text.
func textual(query string) string { return "SELECT * APPLY(toString) FROM (" + query + ")" }

func clickHouseDatabase(t *testing.T, server *testenv.ClickHouseServer) string {
	t.Helper()
	name := "e2e_" + strings.ToLower(strings.NewReplacer("/", "_").Replace(t.Name()))
	if err := server.Exec(t.Context(), "", "DROP DATABASE IF EXISTS "+name, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Exec(context.Background(), "", "DROP DATABASE IF EXISTS "+name) // the server may be gone
	})
	return name
}

// digestsOf asks a destination for the digests of both views.
func digestsOf(ctx context.Context, db *sql.DB, d sample.Dialect, flat, stock string) (all [][3]string, err error) {
	for _, q := range []string{sample.FlatDigest(d, flat, ""), sample.WarehouseDigest(d, stock, "")} {
		var a [3]string
		if err := db.QueryRowContext(ctx, q).Scan(&a[0], &a[1], &a[2]); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}
