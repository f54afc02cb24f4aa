package binlog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestResumeAnywhere opens a reader at every position that a first one passed: each must read the rest.
func TestResumeAnywhere(t *testing.T) {
	onAll(t, resumeAnywhere)
	t.Run("mysql57 without GTIDs", func(t *testing.T) {
		resumeAnywhere(t, testenv.NewMySQL57(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"))
	})
}

func resumeAnywhere(t *testing.T, s *testenv.MySQLServer) {
	f := newFixture(t, s)
	f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM")
	from := f.current()
	for i := range 8 {
		f.exec("BEGIN", fmt.Sprintf("INSERT INTO a VALUES (%d, 'x')", i), fmt.Sprintf("UPDATE a SET v = 'y' WHERE id = %d", i), "COMMIT",
			fmt.Sprintf("INSERT INTO m VALUES (%d)", i))
		if i == 3 {
			f.exec("FLUSH BINARY LOGS", "CREATE TABLE ignored (id INT)", "DROP TABLE ignored")
		}
	}
	end := f.current()
	ls := f.layouts()
	type place struct {
		at    change.Position
		after int // rows before it
	}
	places := []place{{from, 0}}
	r := f.openWith(from, ls)
	var all []change.Event
	var inside *change.Position // since the first row of a transaction
	for {
		if ok, err := cdc.Contains(r.Position(), end, f.src.Server().Flavor); err != nil {
			t.Fatal(err)
		} else if ok {
			break
		}
		item, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch item.Kind {
		case Row:
			all = append(all, item.Event)
			// Between transactions the server writes events of its own, such as MariaDB's checkpoints of the
			// binlog, at times of its own: the offset may move with them, the set of GTIDs may not.
			if inside == nil {
				p := r.Position()
				inside = &p
			}
			if p, before := r.Position(), places[len(places)-1].at; p != *inside || p.GTID != before.GTID {
				t.Fatalf("position moved to %+v inside a transaction that began at %+v, after the one that ended at %+v", p, *inside, before)
			}
		case Commit:
			inside = nil
			places = append(places, place{r.Position(), len(all)})
		}
	}
	if len(all) != 24 {
		t.Fatalf("%d rows, want 24", len(all))
	}
	want := text(all)
	for _, p := range places[:len(places)-1] {
		r := f.openWith(p.at, ls)
		got := text(events(t, f.until(r, end)))
		if d := cmp.Diff(want[p.after:], got); d != "" {
			t.Errorf("from %v: %s", p.at, d)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("resumed at %d places", len(places)-1)
}

// TestStartByFile begins by file and offset on a server with GTIDs: the set must be complete all the same.
func TestStartByFile(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY)", "FLUSH BINARY LOGS", "INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2)")
		from := f.current()
		f.exec("INSERT INTO a VALUES (3)")
		end := f.current()
		r := f.open(change.Position{Server: from.Server, File: from.File, Offset: from.Offset})
		got := text(events(t, f.until(r, end)))
		if d := cmp.Diff([]string{"c a [] [3]"}, got); d != "" {
			t.Error(d)
		}
		if p := r.Position(); p != end {
			t.Errorf("position %+v, want %+v", p, end)
		}
	})
}

// TestNextWaits: a context that ends while nothing happens leaves the reader usable.
func TestNextWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY)")
		r := f.open(f.current())
		beats, waits := 0, 0
		for beats == 0 || waits < 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			item, err := r.Next(ctx)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				waits++
			case err != nil:
				t.Fatal(err)
			case item.Kind == Heartbeat:
				beats++
			}
		}
		f.exec("INSERT INTO a VALUES (1)")
		if got := events(t, f.until(r, f.current())); len(got) != 1 {
			t.Errorf("%d rows after the waits", len(got))
		}
		stopped := make(chan error, 1)
		go func() {
			for {
				if _, err := r.Next(context.Background()); err != nil {
					stopped <- err
					return
				}
			}
		}()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-stopped; !errors.Is(err, cdc.ErrDisconnected) {
			t.Errorf("closed reader returns %v", err)
		}
	})
}

// TestServerRestarts kills the server below a reader, and goes on from the last position.
func TestServerRestarts(t *testing.T) {
	run := func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
		from := f.current()
		ls := f.layouts()
		r := f.openWith(from, ls)
		f.exec("INSERT INTO a VALUES (2)")
		mid := f.current()
		if got := events(t, f.until(r, mid)); len(got) != 1 {
			t.Fatalf("%d rows before the kill", len(got))
		}
		if err := s.Kill9(); err != nil {
			t.Fatal(err)
		}
		var err error
		for err == nil {
			_, err = r.Next(t.Context())
		}
		if !errors.Is(err, cdc.ErrDisconnected) {
			t.Fatalf("error %v, want disconnected", err)
		}
		last := r.Position()
		if _, err := Open(t.Context(), f.src, Options{From: last}); !errors.Is(err, cdc.ErrDisconnected) {
			t.Errorf("open on a dead server: %v", err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Exec(t.Context(), "INSERT INTO "+f.db+".a VALUES (3)"); err != nil {
			t.Fatal(err)
		}
		again := openSource(t, config(s))
		if a, b := again.Server().Identity, f.src.Server().Identity; a != b {
			t.Errorf("identity was %s and is %s", b, a)
		}
		f.src = again
		r2 := f.openWith(last, ls)
		if d := cmp.Diff([]string{"c a [] [3]"}, text(events(t, f.until(r2, f.current())))); d != "" {
			t.Error(d)
		}
	}
	t.Run("mariadb", func(t *testing.T) { run(t, testenv.NewMariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { run(t, testenv.NewMySQL(t)) })
}

// TestPurged: a position that the log does not reach any more, and one that it never had.
func TestPurged(t *testing.T) {
	run := func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY)")
		from := f.current()
		f.exec("INSERT INTO a VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO a VALUES (2)", "FLUSH BINARY LOGS", "INSERT INTO a VALUES (3)")
		now := f.current()
		f.exec(fmt.Sprintf("PURGE BINARY LOGS TO '%s'", now.File))
		wantErr := func(from change.Position, kind error) {
			t.Helper()
			// Some servers tell at once, others when they are read.
			r, err := Open(t.Context(), f.src, Options{Filter: f.filter, Layouts: f.layouts(), From: from})
			if err == nil {
				t.Cleanup(func() { _ = r.Close() })
			}
			for err == nil {
				_, err = r.Next(t.Context())
			}
			var e *cdc.Error
			if !errors.Is(err, kind) || !errors.As(err, &e) || e.Hint == "" {
				t.Errorf("from %v: %v, want %v with a way out", from, err, kind)
			}
		}
		wantErr(from, cdc.ErrPurged)
		if f.src.Server().Flavor == cdc.MySQL {
			if gone, detail, err := f.src.Purged(t.Context(), from); err != nil || !gone || detail == "" {
				t.Errorf("purged: %t %q %v", gone, detail, err)
			}
		}
		wantErr(change.Position{File: from.File, Offset: from.Offset}, cdc.ErrPurged)
		ahead := change.Position{GTID: now.GTID + ",11111111-1111-1111-1111-111111111111:1"}
		if f.src.Server().Flavor == cdc.MariaDB {
			ahead.GTID = "0-1-999999"
			wantErr(ahead, cdc.ErrDiverged)
		} else {
			// MySQL knows nothing of foreign sets, but it does of its own.
			ahead.GTID = f.src.Server().Identity + ":1-999999"
			wantErr(ahead, cdc.ErrDiverged)
		}
		if got := len(events(t, f.until(f.open(change.Position{File: now.File, Offset: 4}), now))); got != 1 {
			t.Errorf("%d rows of the file that is left", got)
		}
	}
	t.Run("mariadb", func(t *testing.T) { run(t, testenv.NewMariaDB(t)) })
	t.Run("mysql", func(t *testing.T) { run(t, testenv.NewMySQL(t)) })
}

// TestBigTransactions reads a large transaction, plain and compressed, within a bounded heap.
func TestBigTransactions(t *testing.T) {
	const rows = 100_000
	run := func(t *testing.T, s *testenv.MySQLServer, session string, packed bool) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE n (n INT PRIMARY KEY)", "INSERT INTO n VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
			"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(500))")
		from := f.current()
		if session != "" {
			f.exec(session)
		}
		f.exec("INSERT INTO a (v) SELECT CONCAT(a.n, b.n, c.n, d.n, e.n, REPEAT('payload ', 40)) FROM n a, n b, n c, n d, n e")
		end := f.current()
		r := f.open(from)
		got, peak := 0, uint64(0)
		var m runtime.MemStats
		for {
			item, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if item.Kind == Row {
				if got++; got%20000 == 0 {
					runtime.GC()
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
				continue
			}
			if ok, err := cdc.Contains(r.Position(), end, f.src.Server().Flavor); err != nil {
				t.Fatal(err)
			} else if ok && item.Kind == Commit {
				break
			}
		}
		if got != rows {
			t.Errorf("%d rows, want %d", got, rows)
		}
		if (r.Bytes() < 300*rows) != packed {
			t.Errorf("%d bytes of log: the transaction's compression is not what the test wants", r.Bytes())
		}
		if peak > 64<<20 {
			t.Errorf("heap of %d MiB while reading %d MiB", peak>>20, r.Bytes()>>20)
		}
		t.Logf("%d rows, %d KiB of log, live heap at most %.1f MiB", got, r.Bytes()>>10, float64(peak)/(1<<20))
	}
	t.Run("mariadb", func(t *testing.T) { run(t, testenv.MariaDB(t), "", false) })
	t.Run("mysql", func(t *testing.T) { run(t, testenv.MySQL(t), "", false) })
	t.Run("mysql compressed", func(t *testing.T) {
		run(t, testenv.MySQL(t), "SET SESSION binlog_transaction_compression = ON", true)
	})
	t.Run("mariadb compressed", func(t *testing.T) { run(t, testenv.NewMariaDB(t, "--log-bin-compress=ON"), "", true) })
}
