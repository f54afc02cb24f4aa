package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// database is a database of a test's own on the shared server.
type database struct {
	server *testenv.PostgresServer
	name   string
	admin  *pgx.Conn // to the database "postgres"
	conn   *pgx.Conn // to this one; made when needed
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	return databaseOn(t, testenv.Postgres(t))
}

func databaseOn(t testing.TB, server *testenv.PostgresServer) *database {
	t.Helper()
	d := &database{server: server, name: fmt.Sprintf("t%d", time.Now().UnixNano())}
	d.admin = connect(t, server.DSN("postgres"))
	d.run(t, d.admin, "CREATE DATABASE "+ident(d.name)+" TEMPLATE template0 ENCODING 'UTF8'")
	d.run(t, d.admin, "ALTER DATABASE "+ident(d.name)+" SET synchronous_commit = off") // nobody cuts the power here
	t.Cleanup(func() {
		d.run(t, d.admin, "DROP DATABASE "+ident(d.name)+" WITH (FORCE)")
	})
	return d
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		//nolint:errcheck // the server may have ended it
		c.Close(context.Background())
	})
	return c
}

func (d *database) db(t testing.TB) *pgx.Conn {
	t.Helper()
	if d.conn == nil || d.conn.IsClosed() {
		d.conn = connect(t, d.server.DSN(d.name))
	}
	return d.conn
}

func (d *database) run(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (d *database) config(name string) Config {
	return Config{
		Name: name, Host: d.server.Host, Port: d.server.Port, Database: d.name,
		User: d.server.User, Password: d.server.Password, TLS: TLS{Mode: "disable"},
	}
}

func (d *database) open(t testing.TB, o sinktest.Options) *Sink {
	t.Helper()
	cfg := d.config(o.Reader)
	cfg.OnPoison, cfg.Memory, cfg.Observer = o.OnPoison, o.Memory, o.Observer
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.hook = o.Hook
	return s
}

// shape makes a target of the sink's own for its column expressions.
func shape(t testing.TB, tg sinks.Target) *target {
	t.Helper()
	out, err := newTarget(tg, "public", 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (d *database) rows(t testing.TB, target sinks.Target) []sinktest.Row {
	t.Helper()
	tg := shape(t, target)
	exprs := []string{"t.xmin::text", "NULL::bigint", "NULL::timestamptz"}
	if name := target.Extra.Position; name != "" {
		exprs[1] = "t." + ident(name)
	}
	if name := target.Extra.AppliedAt; name != "" {
		exprs[2] = "t." + ident(name)
	}
	for _, c := range tg.columns {
		exprs = append(exprs, readText(c, "t"))
	}
	deleted := "false"
	if target.Soft {
		deleted = "t." + ident(tg.MarkColumn())
	}
	var order []string
	for _, k := range tg.key {
		order = append(order, tg.columns[k].comparable("t."+ident(tg.columns[k].name))+" NULLS FIRST")
	}
	q := fmt.Sprintf("SELECT %s, %s FROM %s t ORDER BY %s", deleted, strings.Join(exprs, ", "), tg.name, strings.Join(order, ", "))
	rows, err := d.db(t).Query(context.Background(), q, pgx.QueryExecModeExec)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []sinktest.Row
	for rows.Next() {
		var r sinktest.Row
		texts := make([]*string, len(tg.columns))
		var position *int64
		var at *time.Time
		dest := []any{&r.Deleted, &r.Version, &position, &at}
		for i := range texts {
			dest = append(dest, &texts[i])
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		if position != nil {
			r.Position = change.Seq(*position)
		}
		if at != nil {
			r.AppliedAt = *at
		}
		for i, c := range tg.columns {
			v, err := parseText(c, texts[i])
			if err != nil {
				t.Fatal(err)
			}
			r.Row = append(r.Row, v)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		if strings.Contains(err.Error(), "does not exist") { // nobody made it yet: nothing is shown
			return nil
		}
		t.Fatal(err)
	}
	return out
}

func (d *database) plant(t testing.TB, target sinks.Target, rows ...change.Row) {
	t.Helper()
	tg := shape(t, target)
	ddl := strings.Replace(tg.createTable(), "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)
	d.run(t, d.db(t), strings.ReplaceAll(ddl, ` COLLATE pg_catalog."C"`, ""))
	for _, r := range rows {
		var marks []string
		var args []any
		for i, c := range tg.columns {
			marks = append(marks, fmt.Sprintf("$%d::%s", i+1, wire[c.form]))
			args = append(args, parameter(c, r[i]))
		}
		d.run(t, d.db(t), fmt.Sprintf("INSERT INTO %s VALUES (%s)", tg.name, strings.Join(marks, ", ")), args...)
	}
}

func (d *database) quarantine(t testing.TB) []sinktest.Quarantined {
	t.Helper()
	rows, err := d.db(t).Query(context.Background(), "SELECT table_name, row_key, seq FROM cdc_quarantine ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sinktest.Quarantined])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cut ends the sinks' sessions.
func (d *database) cut(t testing.TB) {
	t.Helper()
	d.run(t, d.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'cdc/%'", d.name)
}

// backup copies the database; putting it back ends every connection, as a real restore does.
func (d *database) backup(t testing.TB) func() {
	t.Helper()
	saved := d.name + "_saved"
	end := func() {
		d.run(t, d.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", d.name)
		d.conn = nil
	}
	// A copy is refused while somebody is connected; their connections are made again when needed.
	end()
	d.copyDatabase(t, saved, d.name)
	t.Cleanup(func() { d.run(t, d.admin, "DROP DATABASE IF EXISTS "+ident(saved)+" WITH (FORCE)") })
	return func() {
		d.conn = nil
		d.run(t, d.admin, "DROP DATABASE "+ident(d.name)+" WITH (FORCE)")
		d.copyDatabase(t, d.name, saved)
	}
}

// copyDatabase waits until the sessions that were ended have left.
func (d *database) copyDatabase(t testing.TB, to, from string) {
	t.Helper()
	var err error
	for range 50 {
		if _, err = d.admin.Exec(context.Background(), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", ident(to), ident(from))); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		d := newDatabase(t)
		return sinktest.Destination{
			Open: func(t testing.TB, o sinktest.Options) sinks.Sink { return d.open(t, o) },
			Rows: d.rows, Plant: d.plant, Quarantine: d.quarantine, Cut: d.cut, Backup: d.backup, Digest: d.digest,
			Refuse: func(t testing.TB, tg sinks.Target, column, text string) {
				d.run(t, d.db(t), fmt.Sprintf("ALTER TABLE public.%s ADD CHECK (%s <> %s)", ident(tg.To), ident(column), literal(text)))
			},
			Alter: func(t testing.TB, tg sinks.Target, what sinktest.Drift, column string) {
				table, c := "TABLE public."+ident(tg.To), ident(column)
				d.run(t, d.db(t), map[sinktest.Drift]string{
					sinktest.AddColumn:    "ALTER " + table + " ADD COLUMN " + c + " integer",
					sinktest.DropColumn:   "ALTER " + table + " DROP COLUMN " + c,
					sinktest.NarrowColumn: "ALTER " + table + " ALTER COLUMN " + c + " TYPE smallint",
					sinktest.DropTable:    "DROP " + table,
				}[what])
			},
			Unique: func(t testing.TB, tg sinks.Target, column string) {
				d.run(t, d.db(t), fmt.Sprintf("CREATE UNIQUE INDEX ON public.%s (%s)", ident(tg.To), ident(column)))
			},
			Limits: sinktest.Limits{Value: refusesValue},
		}
	})
}

// refusesValue: text with a NUL byte.
func refusesValue(_ change.Type, v change.Value) bool {
	return v.Kind() == change.String && strings.Contains(v.Text(), "\x00")
}
