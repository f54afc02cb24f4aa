package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// database is a database of a test's own, on the double or on the server that CDC_TEST_SQLSERVER names.
type database struct {
	server *testenv.SQLServerInstance
	name   string
	// own is the test's session, made when it is needed; versions the connection to the PostgreSQL below the double.
	own   *session
	below *pgx.Conn
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	server := testenv.SQLServer(t)
	d := &database{server: server, name: server.CreateDatabase(t)}
	t.Cleanup(func() {
		if d.own != nil {
			//nolint:errcheck // the server may have ended it
			d.own.close()
		}
		if d.below != nil {
			//nolint:errcheck // the same
			d.below.Close(context.Background())
		}
	})
	if server.Double == nil {
		d.run(t, "ALTER DATABASE "+ident(d.name)+" SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE")
		d.run(t, "ALTER DATABASE "+ident(d.name)+" SET ALLOW_SNAPSHOT_ISOLATION ON")
		return d
	}
	d.below = connectBelow(t, d.name)
	if _, err := d.below.Exec(t.Context(), "ALTER DATABASE "+pgx.Identifier{d.below.Config().Database}.Sanitize()+" SET synchronous_commit = off"); err != nil {
		t.Fatal(err) // nobody cuts the power here
	}
	return d
}

// connectBelow finds the database of PostgreSQL in which the double keeps the named database.
func connectBelow(t testing.TB, name string) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	pg := testenv.Postgres(t)
	connect := func(database string) *pgx.Conn {
		c, err := pgx.Connect(ctx, pg.DSN(database))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	admin := connect("postgres")
	rows, err := admin.Query(ctx, "SELECT datname FROM pg_catalog.pg_database WHERE datname LIKE 'double\\_%' AND datallowconn")
	if err != nil {
		t.Fatal(err)
	}
	candidates, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, database := range candidates {
		c := connect(database)
		var there bool
		if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)", name+"/dbo").Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there {
			return c
		}
		if err := c.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("none of %q holds the database %s", candidates, name)
	return nil
}

// do runs f in the test's own session, and again if the session was ended meanwhile.
func (d *database) do(t testing.TB, f func(context.Context, *session) error) {
	t.Helper()
	ctx := context.Background() // also when the test is over
	var err error
	for range 2 {
		if d.own == nil {
			if d.own, err = d.config("test").open(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err = f(ctx, d.own); !isBroken(err) {
			break
		}
		//nolint:errcheck // it is given up
		d.own.close()
		d.own = nil
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d *database) config(name string) Config {
	return Config{
		Name: name, Host: d.server.Host, Port: d.server.Port, Database: d.name, User: d.server.User, Password: d.server.Password,
		TLS: TLS{Mode: mode(d.server)},
	}.withDefaults()
}

// mode is how the suite reaches its server; TestTLS has the others.
func mode(s *testenv.SQLServerInstance) string {
	if s.Double != nil {
		return "disable"
	}
	return "require"
}

func (d *database) run(t testing.TB, text string, args ...any) {
	t.Helper()
	d.do(t, func(ctx context.Context, s *session) error {
		if _, err := s.exec(ctx, text, args...); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		return nil
	})
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
	out, err := newTarget(tg, "dbo", 0)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// extraList are the extra columns in a list of columns, NULL where the target has none.
func extraList(e sinks.Extra) string {
	list := ""
	for i, name := range []string{e.Position, e.AppliedAt} {
		if name != "" {
			list += ", t." + ident(name)
		} else {
			list += ", CAST(NULL AS " + [...]string{"bigint", "datetime2(6)"}[i] + ")"
		}
	}
	return list
}

func (d *database) rows(t testing.TB, target sinks.Target) []sinktest.Row {
	t.Helper()
	tg := shape(t, target)
	var out []sinktest.Row
	d.do(t, func(ctx context.Context, s *session) error {
		out = nil
		rel, err := s.lookup(ctx, tg.schema, tg.To)
		if err != nil || rel == nil { // nobody made it yet: nothing is shown
			return err
		}
		list := tg.list(tg.all(), "t.")
		for i := range tg.columns {
			if _, ok := rel.column(tg.columns[i].name); !ok {
				list = strings.Replace(list, "t."+ident(tg.columns[i].name), "NULL", 1)
			}
		}
		deleted, version := int64(0), []byte(nil)
		if target.Soft {
			list += ", CAST(t." + ident(tg.MarkColumn()) + " AS int)"
		} else {
			list += ", 0"
		}
		var position sql.NullInt64
		var at sql.NullTime
		list += extraList(target.Extra)
		if list += ", 0x00"; d.server.Double == nil {
			if list, err = d.versioned(ctx, s, tg, rel, list); err != nil {
				return err
			}
		}
		got := make([]any, len(tg.columns))
		dest := make([]any, len(got))
		for i := range got {
			dest[i] = &got[i]
		}
		return s.each(ctx, readRowsSQL.with("table", tg.name, "columns", list, "where", everyRow), nil, func() error {
			r := sinktest.Row{Deleted: deleted == 1, Version: fmt.Sprintf("%x", version), Position: change.Seq(position.Int64), AppliedAt: at.Time}
			for i, c := range tg.columns {
				v, err := c.decode(got[i])
				if err != nil {
					return err
				}
				r.Row = append(r.Row, v)
			}
			out = append(out, r)
			return nil
		}, append(dest, &deleted, &position, &at, &version)...)
	})
	if d.server.Double != nil && len(out) > 0 {
		for i, v := range d.versions(t, tg, len(out)) {
			out[i].Version = v
		}
	}
	slices.SortStableFunc(out, func(a, b sinktest.Row) int {
		ka, errA := target.Table.RowKey(a.Row)
		kb, errB := target.Table.RowKey(b.Row)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		return cmp.Compare(ka, kb)
	})
	return out
}

// versioned gives a table of a real server a column that changes whenever a row is written.
func (d *database) versioned(ctx context.Context, s *session, tg *target, rel *relation, list string) (string, error) {
	if _, ok := rel.column("test_version"); !ok {
		if _, err := s.exec(ctx, "ALTER TABLE "+tg.name+" ADD [test_version] rowversion"); err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(list, "0x00") + "CAST(t.[test_version] AS varbinary(8))", nil
}

// versions are the ids of the transactions that wrote the rows, in the order in which the table holds them.
func (d *database) versions(t testing.TB, tg *target, n int) []string {
	t.Helper()
	ctx := context.Background()
	rows, err := d.below.Query(ctx, fmt.Sprintf("SELECT xmin::text FROM %s ORDER BY ctid", pgx.Identifier{d.name + "/" + tg.schema, tg.To}.Sanitize()))
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(out) != n {
		t.Fatalf("%d versions of %d rows (error %v)", len(out), n, err)
	}
	return out
}

func (d *database) plant(t testing.TB, target sinks.Target, rows ...change.Row) {
	t.Helper()
	tg := shape(t, target)
	d.do(t, func(ctx context.Context, s *session) error {
		rel, err := s.lookup(ctx, tg.schema, tg.To)
		if err != nil {
			return err
		}
		if rel == nil {
			if _, err := s.exec(ctx, strings.ReplaceAll(tg.createTable(), " COLLATE "+keyCollation, "")); err != nil {
				return err
			}
		}
		for _, r := range rows {
			var values []string
			var args []any
			for i := range tg.columns {
				values = append(values, fmt.Sprintf("CAST(@v%d AS %s)", i, tg.columns[i].ddl))
				args = append(args, sql.Named(fmt.Sprintf("v%d", i), tg.columns[i].parameter(r[i])))
			}
			_, err := s.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", tg.name, tg.list(tg.all(), ""), strings.Join(values, ", ")), args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *database) quarantine(t testing.TB) []sinktest.Quarantined {
	t.Helper()
	var out []sinktest.Quarantined
	d.do(t, func(ctx context.Context, s *session) error {
		out = nil
		var q sinktest.Quarantined
		return s.each(ctx, "SELECT [table_name], [row_key], [seq] FROM [dbo].[cdc_quarantine] ORDER BY [table_name], [row_key]", nil,
			func() error { out = append(out, q); return nil }, &q.Table, &q.Key, &q.Seq)
	})
	return out
}

// cut ends the sinks' sessions.
func (d *database) cut(t testing.TB) {
	t.Helper()
	if d.server.Double != nil {
		d.server.Double.Drop()
		return
	}
	d.do(t, func(ctx context.Context, s *session) error {
		var ids []int64
		var id int64
		err := s.each(ctx, "SELECT CAST([session_id] AS bigint) FROM sys.dm_exec_sessions WHERE [program_name] LIKE N'cdc/%' AND [database_id] = DB_ID(@name)",
			[]any{sql.Named("name", d.name)}, func() error { ids = append(ids, id); return nil }, &id)
		for _, id := range ids {
			if _, e := s.exec(ctx, fmt.Sprintf("KILL %d", id)); err == nil {
				err = e
			}
		}
		return err
	})
}

// backup copies every table aside. Putting them back ends the sinks' sessions, as a real restore does.
func (d *database) backup(t testing.TB) func() {
	t.Helper()
	var tables []string
	d.do(t, func(ctx context.Context, s *session) error {
		tables = nil
		var name string
		return s.each(ctx, "SELECT [name] FROM sys.objects WHERE [type] = N'U' AND [schema_id] = SCHEMA_ID(N'dbo')", nil,
			func() error { tables = append(tables, name); return nil }, &name)
	})
	// The double has no SELECT INTO; what is below it has.
	save, restore := "SELECT * INTO %[2]s FROM %[1]s", []string{"DELETE FROM %[1]s", "INSERT INTO %[1]s SELECT * FROM %[2]s", "DROP TABLE %[2]s"}
	if d.server.Double != nil {
		save = "CREATE TABLE %[2]s AS TABLE %[1]s"
	}
	run := func(format, table string) {
		saved := "saved " + table
		if d.server.Double == nil {
			d.run(t, fmt.Sprintf(format, ident("dbo", table), ident("dbo", saved)))
			return
		}
		schema := d.name + "/dbo"
		text := fmt.Sprintf(format, pgx.Identifier{schema, table}.Sanitize(), pgx.Identifier{saved}.Sanitize())
		if _, err := d.below.Exec(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range tables {
		run(save, table)
	}
	return func() {
		d.cut(t)
		for _, table := range tables {
			for _, format := range restore {
				run(format, table)
			}
		}
	}
}

// limits are what docs/reference/types.md says of SQL Server.
func limits() sinktest.Limits {
	return sinktest.Limits{
		Type: func(typ change.Type, key bool) bool {
			_, s, err := typeOf(typ)
			return err != nil || key && s.bytes() > indexKey
		},
		Value: func(typ change.Type, v change.Value) bool {
			return typ.Kind == change.Time && (v.Int() < 0 || v.Int() >= 86_400_000_000)
		},
		OneKey: func(a, b change.Value) bool {
			switch {
			case a.Kind() == change.String && b.Kind() == change.String:
				return strings.TrimRight(a.Text(), " ") == strings.TrimRight(b.Text(), " ")
			case a.Kind() == change.Bytes && b.Kind() == change.Bytes:
				return strings.TrimRight(a.Text(), "\x00") == strings.TrimRight(b.Text(), "\x00")
			}
			return false
		},
	}
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		d := newDatabase(t)
		return d.destination(func(t testing.TB, o sinktest.Options) sinks.Sink { return d.open(t, o) })
	})
}

// TestConformanceOfBulkLoads has small batches take the way of the large ones, in the cases that are about changes.
func TestConformanceOfBulkLoads(t *testing.T) {
	cases := []string{
		"same_key_several_times", "delete_then_insert", "key_change", "null_in_a_key_equals_null", "two_rows_swap_a_unique_value",
		"every_value_is_null", "soft_delete", "extra_columns", "a_column_is_added",
	}
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		_, name, _ := strings.Cut(t.Name(), "/")
		if !slices.Contains(cases, name) {
			t.Skip("it is not about changes, or reaches bulk loads by itself")
		}
		d := newDatabase(t)
		return d.destination(func(t testing.TB, o sinktest.Options) sinks.Sink {
			s := d.open(t, o)
			s.small = 0
			return s
		})
	})
}

// destination is the database as the suite sees it.
func (d *database) destination(open func(testing.TB, sinktest.Options) sinks.Sink) sinktest.Destination {
	return sinktest.Destination{
		Open: open,
		Rows: d.rows, Plant: d.plant, Quarantine: d.quarantine, Cut: d.cut, Backup: d.backup, Limits: limits(),
		Refuse: func(t testing.TB, tg sinks.Target, column, text string) {
			d.run(t, fmt.Sprintf("ALTER TABLE %s ADD CHECK (%s <> N'%s')", ident("dbo", tg.To), ident(column), text))
		},
		Alter: func(t testing.TB, tg sinks.Target, what sinktest.Drift, column string) {
			table, c := "TABLE "+ident("dbo", tg.To), ident(column)
			d.run(t, map[sinktest.Drift]string{
				sinktest.AddColumn:    "ALTER " + table + " ADD " + c + " int NULL",
				sinktest.DropColumn:   "ALTER " + table + " DROP COLUMN " + c,
				sinktest.NarrowColumn: "ALTER " + table + " ALTER COLUMN " + c + " smallint NULL",
				sinktest.DropTable:    "DROP " + table,
			}[what])
		},
		Unique: func(t testing.TB, tg sinks.Target, column string) {
			d.run(t, fmt.Sprintf("CREATE UNIQUE INDEX [unique_%s] ON %s (%s)", column, ident("dbo", tg.To), ident(column)))
		},
	}
}
