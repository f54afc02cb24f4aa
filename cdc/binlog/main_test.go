package binlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Wrap(m)) }

// onBoth runs a test on each family of servers.
func onBoth(t *testing.T, f func(t *testing.T, s *testenv.MySQLServer)) {
	t.Run("mariadb", func(t *testing.T) { f(t, testenv.MariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { f(t, testenv.MySQL(t)) })
}

// onAll is onBoth with the oldest MySQL, whose rows carry no names.
func onAll(t *testing.T, f func(t *testing.T, s *testenv.MySQLServer)) {
	onBoth(t, f)
	t.Run("mysql57", func(t *testing.T) { f(t, testenv.MySQL57(t)) })
}

func config(s *testenv.MySQLServer) cdc.Config {
	return cdc.Config{
		Host: s.Host, Port: s.Port, User: s.User, Heartbeat: time.Second,
		Password: func() (string, error) { return s.Password, nil },
	}
}

// fixture is a database of its own on a server, a source and a session that writes.
type fixture struct {
	*testing.T
	server *testenv.MySQLServer
	db     string
	src    *cdc.Source
	conn   *sql.Conn
	filter cdc.Filter
}

func newFixture(t *testing.T, s *testenv.MySQLServer) *fixture {
	t.Helper()
	f := &fixture{T: t, server: s, db: s.CreateDatabase(t)}
	f.filter = inDatabase(f.db)
	f.src = openSource(t, config(s))
	db, err := s.Open(f.db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if f.conn, err = db.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	return f
}

func openSource(t *testing.T, cfg cdc.Config) *cdc.Source {
	t.Helper()
	src, err := cdc.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func (f *fixture) exec(statements ...string) {
	f.Helper()
	for _, q := range statements {
		if _, err := f.conn.ExecContext(f.Context(), q); err != nil {
			f.Fatalf("%.200s: %v", q, err)
		}
	}
}

func (f *fixture) current() change.Position {
	f.Helper()
	p, err := f.src.Current(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return p
}

func (f *fixture) layouts() []*cdc.Layout {
	f.Helper()
	ls, err := f.src.Layouts(f.Context(), f.filter)
	if err != nil {
		f.Fatal(err)
	}
	return ls
}

func (f *fixture) open(from change.Position) *Reader {
	f.Helper()
	return f.openWith(from, f.layouts())
}

func (f *fixture) openWith(from change.Position, ls []*cdc.Layout) *Reader {
	f.Helper()
	r, err := Open(f.Context(), f.src, Options{Filter: f.filter, Layouts: ls, From: from})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	return r
}

// until reads items until the reader has passed a position, and returns them without heartbeats.
func (f *fixture) until(r *Reader, p change.Position) []Item {
	f.Helper()
	items, err := f.tryUntil(r, p)
	if err != nil {
		f.Fatal(err)
	}
	return items
}

func (f *fixture) tryUntil(r *Reader, p change.Position) ([]Item, error) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
	defer cancel()
	var items []Item
	for {
		ok, err := cdc.Contains(r.Position(), p, f.src.Server().Flavor)
		if err != nil {
			f.Fatal(err)
		}
		if ok && (len(items) == 0 || items[len(items)-1].Kind == Commit) {
			return items, nil
		}
		item, err := r.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			f.Fatalf("the log never reached %v: at %v", p, r.Position())
		}
		if err != nil {
			return items, err
		}
		if item.Kind != Heartbeat {
			items = append(items, item)
		}
	}
}

// events returns the row events of a list of items, and checks that transactions are well formed.
func events(t *testing.T, items []Item) []change.Event {
	t.Helper()
	var es []change.Event
	var tx *Transaction
	rows := 0
	for _, i := range items {
		switch i.Kind {
		case Begin:
			if tx != nil {
				t.Fatal("Begin inside a transaction")
			}
			tx, rows = i.Tx, 0
			continue
		case Row:
			rows++
			es = append(es, i.Event)
		}
		if i.Tx != tx || tx == nil {
			t.Fatalf("item %d has another transaction", i.Kind)
		}
		if i.Kind == Commit {
			if tx.Rows != rows {
				t.Fatalf("transaction %s counts %d rows, %d came", tx.GTID, tx.Rows, rows)
			}
			tx = nil
		}
	}
	if tx != nil {
		t.Fatal("transaction not committed")
	}
	return es
}

func text(es []change.Event) []string {
	var out []string
	for _, e := range es {
		out = append(out, fmt.Sprintf("%s %s %v %v", e.Op, e.Table.ID.Name, e.Before, e.After))
	}
	return out
}

// inDatabase captures one database.
func inDatabase(db string) cdc.Filter {
	return cdc.Filter{Table: func(id change.TableID) bool { return id.DB == db }}
}
