package snapshot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/binlog"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// lab follows a table's log and takes chunks of the table meanwhile, as capture does. The truth is folded
// from the log alone, from before the table's first row on, so what a chunk must be is known at every
// boundary. Reads begin at the newest boundary and the log rests until they are back; a chunk is then
// emitted at the very first boundary that lies behind its High (or a few later), so an error of either
// place shows and is not hidden by chance.
type lab struct {
	*testing.T
	server *testenv.MySQLServer
	db     string
	src    *cdc.Source
	method Method
	table  *change.Table
	log    *binlog.Reader
	rnd    *rand.Rand

	pos   change.Position           // behind the last transaction taken from the log
	truth map[change.Key]change.Row // the table at pos
	held  map[change.Key]change.Row // what a destination of the chunks and changes holds at pos
	seen  map[change.Key]bool       // keys noted since begin, of a table without ranges
	open  []*job                    // chunks whose windows are open
}

// newLab makes table t with the key type given and begins to follow it.
func newLab(t *testing.T, s *testenv.MySQLServer, m Method, keyType string) *lab {
	t.Helper()
	l := &lab{T: t, server: s, db: s.CreateDatabase(t), method: m, rnd: rand.New(rand.NewPCG(1, 2)),
		truth: map[change.Key]change.Row{}, held: map[change.Key]change.Row{}}
	if err := s.Exec(t.Context(), "USE "+l.db, "CREATE TABLE t (k "+keyType+" PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.src, err = cdc.Open(t.Context(), cdc.Config{Host: s.Host, Port: s.Port, User: s.User, Heartbeat: time.Second,
		Password: func() (string, error) { return s.Password, nil }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.src.Close() })
	filter := cdc.Filter{Table: func(id change.TableID) bool { return id.DB == l.db }}
	layouts, err := l.src.Layouts(t.Context(), filter)
	if err != nil || len(layouts) != 1 {
		t.Fatalf("%d tables: %v", len(layouts), err)
	}
	l.table = layouts[0].Table
	if l.pos, err = l.src.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.log, err = binlog.Open(t.Context(), l.src, binlog.Options{Filter: filter, Layouts: layouts, From: l.pos}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.log.Close() })
	return l
}

func (l *lab) reader(f form) *Reader {
	r := NewReader(Config{DB: l.src.DB(), Method: l.method, Codec: l.src.Codec(), LogPosition: l.src.Current})
	r.naive = f.reader
	return r
}

// follow takes the log's next transaction.
func (l *lab) follow(ctx context.Context) error {
	for {
		it, err := l.log.Next(ctx)
		if err != nil {
			return fmt.Errorf("follow the log at %s: %w", l.log.Position(), err)
		}
		switch it.Kind {
		case binlog.Row:
			if err := l.apply(&it.Event); err != nil {
				return err
			}
		case binlog.Commit, binlog.Heartbeat:
			l.pos = l.log.Position()
			return nil
		case binlog.Schema, binlog.Pause:
			return fmt.Errorf("the log holds an item of kind %d", it.Kind)
		}
	}
}

// apply takes a change over into the truth, the destination and the open windows.
func (l *lab) apply(ev *change.Event) error {
	if ev.Before != nil {
		k, err := l.table.RowKey(ev.Before)
		if err != nil {
			return err
		}
		if !l.truth[k].Equal(ev.Before) {
			return fmt.Errorf("the log says %s of %v, the table has %v", ev.Op, ev.Before, l.truth[k])
		}
		delete(l.truth, k)
		delete(l.held, k)
	}
	if ev.After != nil {
		k, err := l.table.RowKey(ev.After)
		if err != nil {
			return err
		}
		if have := l.truth[k]; have != nil {
			return fmt.Errorf("the log says %s to %v, the table has %v", ev.Op, ev.After, have)
		}
		l.truth[k], l.held[k] = ev.After, ev.After
		if l.seen != nil {
			l.seen[k] = true
		}
	}
	for _, j := range l.open {
		if err := j.note(ev); err != nil {
			return err
		}
	}
	return nil
}

// catchUp follows the log until nothing of it is at hand: then the boundary is as new as it gets.
func (l *lab) catchUp(ctx context.Context) error {
	for {
		if err := l.follow(ctx); err != nil || !l.log.Buffered() {
			return err
		}
	}
}

// reached reports whether the boundary lies at or behind a place.
func (l *lab) reached(place change.Position) (bool, error) {
	have := l.pos
	if place.GTID == "" { // known by file and offset alone
		have.GTID = ""
	}
	return cdc.Contains(have, place, l.src.Server().Flavor)
}

// finish ends the writers, follows the log to its end, and compares the truth and the destination with
// what the source itself says.
func (l *lab) finish(ctx context.Context, endWriters func()) {
	l.Helper()
	endWriters()
	end, err := l.src.Current(ctx)
	for err == nil {
		var ok bool
		if ok, err = l.reached(end); ok || err != nil {
			break
		}
		err = l.follow(ctx)
	}
	if err != nil {
		l.Fatal(err)
	}
	source, err := l.ask(ctx)
	if err != nil {
		l.Fatal(err)
	}
	for name, have := range map[string]map[change.Key]change.Row{"the log's rows": l.truth, "the destination": l.held} {
		got := map[string]string{}
		for _, r := range have {
			got[keyText(r)] = r[1].String()
		}
		if diff := cmp.Diff(source, got); diff != "" {
			l.Errorf("%s differ from the source at the end (-source):\n%s", name, diff)
		}
	}
}

// ask reads the table as anybody would.
func (l *lab) ask(ctx context.Context) (map[string]string, error) {
	pool, err := l.server.Open(l.db)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	rows, err := pool.QueryContext(ctx, "SELECT CAST(k AS CHAR), n FROM t")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var k, n string
		if err := rows.Scan(&k, &n); err != nil {
			return nil, err
		}
		all[k] = n
	}
	return all, rows.Err()
}

func keyText(r change.Row) string {
	if r[0].Kind() == change.String {
		return r[0].Text()
	}
	return r[0].String()
}
