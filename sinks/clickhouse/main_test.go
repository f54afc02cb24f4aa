package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// database is a database of a test's own on a server, behind a proxy that can lose connections.
type database struct {
	server   *testenv.ClickHouseServer
	proxy    *testenv.Proxy
	name     string
	admin    *session
	protocol Protocol
}

func newDatabase(t testing.TB, server *testenv.ClickHouseServer, protocol Protocol) *database {
	t.Helper()
	addr := server.Addr
	if protocol == Native {
		addr = fmt.Sprintf("%s:%d", server.Host, server.Native)
	}
	d := &database{server: server, name: server.CreateDatabase(t), protocol: protocol, proxy: testenv.NewProxy(t, addr)}
	cfg := d.config("admin")
	host, port := server.Host, server.Port
	cfg.Host, cfg.Port, cfg.Protocol = host, port, HTTP
	var err error
	if d.admin, err = newSession(cfg.withDefaults()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.admin.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *database) config(name string) Config {
	_, port, err := net.SplitHostPort(d.proxy.Addr)
	if err != nil {
		panic(err) // the proxy's own address
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		panic(err)
	}
	return Config{
		Name: name, Host: "127.0.0.1", Port: n, Protocol: d.protocol, Database: d.name,
		User: d.server.User, Password: d.server.Password, TLS: TLS{Mode: "disable"},
		NoSync: true, // nobody cuts the power here
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

func (d *database) run(t testing.TB, sql string) {
	t.Helper()
	if err := d.admin.exec(context.Background(), "test", sql, nil); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// shape makes a target of the sink's own, bound to its table if there is one.
func (d *database) shape(t testing.TB, tg sinks.Target) (out *target, exists bool) {
	t.Helper()
	out, err := newTarget(tg, d.config("test"))
	if err != nil {
		t.Fatal(err)
	}
	rel, err := d.admin.lookup(context.Background(), d.name, out.bare)
	if err != nil {
		t.Fatal(err)
	}
	if rel != nil {
		out.bind(rel)
	}
	return out, rel != nil
}

func (d *database) rows(t testing.TB, target sinks.Target) []sinktest.Row {
	t.Helper()
	tg, exists := d.shape(t, target)
	if !exists {
		return nil // nobody made it yet: nothing is shown
	}
	exprs := []string{"toString(" + colVersion + ")", "false", "toUInt64(0)", "CAST(NULL AS " + appliedType + ")"}
	if target.Soft {
		exprs[1] = quoteName(tg.MarkColumn())
	}
	if target.Extra.Position != "" {
		exprs[2] = colVersion // as the readers' view names it
	}
	if target.Extra.AppliedAt != "" {
		exprs[3] = quoteName(target.Extra.AppliedAt)
	}
	for i := range tg.columns {
		exprs = append(exprs, readText(&tg.columns[i]))
	}
	var out []sinktest.Row
	err := d.admin.query(context.Background(), fmt.Sprintf("SELECT %s FROM %s FINAL", strings.Join(exprs, ", "), tg.name), func(scan func(...any) error) error {
		var r sinktest.Row
		texts := make([]*string, len(tg.columns))
		var position uint64
		var at *time.Time
		into := []any{&r.Version, &r.Deleted, &position, &at}
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := scan(into...); err != nil {
			return err
		}
		if r.Position = change.Seq(position); at != nil {
			r.AppliedAt = *at
		}
		for i := range tg.columns {
			v, err := parseText(&tg.columns[i], texts[i])
			if err != nil {
				return err
			}
			r.Row = append(r.Row, v)
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b sinktest.Row) int {
		ka, errA := tg.table.RowKey(a.Row)
		kb, errB := tg.table.RowKey(b.Row)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		return strings.Compare(string(ka), string(kb))
	})
	return out
}

func (d *database) plant(t testing.TB, target sinks.Target, rows ...change.Row) {
	t.Helper()
	tg, _ := d.shape(t, target)
	d.run(t, tg.createVersions("made by somebody"))
	b := tg.visible().newBlock()
	cols := make([]int, len(tg.columns))
	for i := range cols {
		cols[i] = i
	}
	for _, r := range rows {
		if err := tg.visible().append(b, row{Net: &sinks.Net{Row: r, Seq: 7}, cols: cols}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.admin.insert(context.Background(), "plant", b, ""); err != nil {
		t.Fatal(err)
	}
}

func (d *database) quarantineEntries(t testing.TB) []sinktest.Quarantined {
	t.Helper()
	var out []sinktest.Quarantined
	err := d.admin.query(context.Background(), "SELECT table_name, row_key, seq FROM cdc_quarantine FINAL ORDER BY 1, 2", func(scan func(...any) error) error {
		var q sinktest.Quarantined
		var seq uint64
		err := scan(&q.Table, &q.Key, &seq)
		q.Seq = change.Seq(seq)
		out = append(out, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// backup copies the tables; putting them back makes them anew, as a real restore does.
func (d *database) backup(t testing.TB) func() {
	t.Helper()
	saved := d.name + "_saved"
	d.run(t, "CREATE DATABASE "+saved)
	t.Cleanup(func() { d.run(t, "DROP DATABASE IF EXISTS "+saved+" SYNC") })
	tables := d.tables(t)
	for _, name := range tables {
		d.run(t, fmt.Sprintf("CREATE TABLE %s CLONE AS %s", quoteName(saved, name), quoteName(d.name, name)))
	}
	return func() {
		for _, name := range d.tables(t) {
			d.run(t, "DROP TABLE "+quoteName(d.name, name)+" SYNC")
		}
		for _, name := range tables {
			d.run(t, fmt.Sprintf("CREATE TABLE %s CLONE AS %s", quoteName(d.name, name), quoteName(saved, name)))
		}
	}
}

// tables are all but the views, which hold nothing.
func (d *database) tables(t testing.TB) []string {
	t.Helper()
	var out []string
	err := d.admin.query(context.Background(), "SELECT name FROM system.tables WHERE database = "+literal(d.name)+" AND engine <> 'View'", func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		out = append(out, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (d *database) destination() sinktest.Destination {
	return sinktest.Destination{
		Open: func(t testing.TB, o sinktest.Options) sinks.Sink { return d.open(t, o) },
		Rows: d.rows, Plant: d.plant, Quarantine: d.quarantineEntries, Backup: d.backup, Digest: d.digest,
		Cut: func(testing.TB) { d.proxy.Cut() },
		Refuse: func(t testing.TB, tg sinks.Target, column, text string) {
			c := quoteName(column)
			d.run(t, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT refuse CHECK %s IS NULL OR %[2]s <> %[3]s", quoteName(d.name, tg.To+versionsSuffix), c, literal(text)))
		},
		Alter: func(t testing.TB, tg sinks.Target, what sinktest.Drift, column string) {
			table, c := "TABLE "+quoteName(d.name, tg.To+versionsSuffix), quoteName(column)
			d.run(t, map[sinktest.Drift]string{
				sinktest.AddColumn:    "ALTER " + table + " ADD COLUMN " + c + " Nullable(Int32)",
				sinktest.DropColumn:   "ALTER " + table + " DROP COLUMN " + c,
				sinktest.NarrowColumn: "ALTER " + table + " MODIFY COLUMN " + c + " Nullable(Int16)",
				sinktest.DropTable:    "DROP " + table + " SYNC",
			}[what])
		},
		Limits: sinktest.Limits{Value: refusesValue, Rewrites: true, Moments: true, NoUnique: true},
	}
}

// refusesValue: what Date32 and DateTime64(6) do not hold.
func refusesValue(_ change.Type, v change.Value) bool {
	switch v.Kind() {
	case change.Date:
		return v.Int() < firstDay || v.Int() > lastDay
	case change.Datetime, change.Timestamp:
		return v.Int() < firstMicros || v.Int() > lastMicros
	}
	return false
}

func TestConformance(t *testing.T) {
	server := testenv.ClickHouse(t)
	t.Run("http", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T) sinktest.Destination { return newDatabase(t, server, HTTP).destination() })
	})
	if server.Native == 0 {
		return // the engine's edge speaks HTTP only
	}
	t.Run("native", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T) sinktest.Destination { return newDatabase(t, server, Native).destination() })
	})
}
