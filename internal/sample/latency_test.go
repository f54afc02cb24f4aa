package sample

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/google/go-cmp/cmp"
)

func TestLatencyMatchesCommitsWithReads(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(ms)) }
	l := NewLatency()
	l.Committed(1, at(0))
	l.Committed(2, at(10))
	l.Committed(3, at(20))
	l.VisibleUpTo(2, at(30)) // 30 and 20 ms
	l.VisibleUpTo(1, at(40)) // goes back: ignored
	l.VisibleUpTo(4, at(50)) // 30 ms, and 4 is seen before its commit is reported
	l.Committed(4, at(51))   // 0 ms, not -1
	l.Committed(5, at(60))
	want := LatencySummary{Count: 4, Pending: 1, P50: 20 * time.Millisecond, P99: 30 * time.Millisecond, Max: 30 * time.Millisecond}
	if diff := cmp.Diff(want, l.Summary()); diff != "" {
		t.Error(diff)
	}
}

func TestLatencyPercentiles(t *testing.T) {
	l := NewLatency()
	start := time.UnixMilli(0)
	for i := int64(1); i <= 200; i++ {
		l.Committed(i, start)
		l.VisibleUpTo(i, start.Add(time.Duration(i)*time.Millisecond))
	}
	want := LatencySummary{Count: 200, P50: 100 * time.Millisecond, P99: 198 * time.Millisecond, Max: 200 * time.Millisecond}
	if diff := cmp.Diff(want, l.Summary()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(LatencySummary{}, NewLatency().Summary()); diff != "" {
		t.Errorf("nothing measured: %s", diff)
	}
}

func TestProbeMeasuresWhatADestinationShows(t *testing.T) {
	// The destination here is the source's own join, so a change is visible at once;
	// every third look fails, as a destination that restarts would.
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.001})
		s, err := openSession(t.Context(), db, schema)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		before := inSchema(t, db, schema, LedgerSum(MySQL, FlatSource(), ""))
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		look := func(ctx context.Context) (int64, error) {
			if looks++; looks%3 == 0 {
				return 0, errors.New("away")
			}
			var n int64
			err := s.conn.QueryRowContext(ctx, ProbeQuery(MySQL, FlatSource(), "")).Scan(&n)
			if n >= 20 {
				cancel()
			}
			return n, err
		}
		p := NewProbe(db, schema, ProbeOptions{Interval: time.Millisecond, Poll: time.Millisecond, Drain: 100 * time.Millisecond})
		both, err := p.Run(ctx, look, func(context.Context) (int64, error) { return 0, errors.New("away") })
		if err != nil {
			t.Fatal(err)
		}
		got := both[0]
		if both[1].Count != 0 || both[1].Pending < 20 {
			t.Errorf("a destination that is away: %+v", both[1])
		}
		if got.Count < 20 || got.Pending != 0 || got.P50 <= 0 || got.P50 > got.P99 || got.P99 > got.Max || got.Max > 5*time.Second {
			t.Errorf("summary: %+v", got)
		}
		if diff := cmp.Diff(before, inSchema(t, db, schema, LedgerSum(MySQL, FlatSource(), ""))); diff != "" {
			t.Errorf("the probe changed the ledger:\n%s", diff)
		}
		// Another probe goes on above what the first one left.
		next := NewProbe(db, schema, ProbeOptions{Interval: time.Millisecond})
		ctx, cancel = context.WithCancel(t.Context())
		var first int64
		again, err := next.Run(ctx, func(ctx context.Context) (int64, error) {
			var n int64
			err := s.conn.QueryRowContext(ctx, ProbeQuery(MySQL, FlatSource(), "")).Scan(&n)
			if first == 0 {
				first = n
			}
			if n >= first+5 {
				cancel()
			}
			return n, err
		})
		if err != nil || first < 20 || again[0].Count < 5 || again[0].Pending != 0 {
			t.Errorf("second probe: first %d, %+v, %v", first, again, err)
		}
	})
}

func TestProbeCountsWhatNeverAppears(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	ctx, cancel := context.WithCancel(t.Context())
	p := NewProbe(db, schema, ProbeOptions{Interval: time.Millisecond, Drain: time.Millisecond})
	got, err := p.Run(ctx, func(ctx context.Context) (int64, error) {
		var n int64
		err := db.QueryRowContext(ctx, "SELECT GREATEST(0, TIMESTAMPDIFF(SECOND, '"+probeEpoch+"', MAX(rental_date))) FROM "+quoteName(schema)+".rental WHERE rental_id = 64").Scan(&n)
		if n >= 3 {
			cancel()
		}
		return 0, err
	})
	if err != nil || got[0].Count != 0 || got[0].Pending < 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestProbeQueryOnPostgres(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	for want, set := range map[int64]string{
		0: "DO 0",
		7: "UPDATE rental SET rental_date = '2030-01-01 00:00:07' WHERE rental_id = 64",
	} {
		execIn(t, db, schema, set)
		pg := copyToPostgres(t, db, schema, FlatSelect(), flatTable, "CustomerOrderFlats")
		var got int64
		if err := pg.QueryRow(t.Context(), ProbeQuery(PostgreSQL, `"CustomerOrderFlats"`, `NOT "IsDeleted"`)).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if want == 0 && got > 0 || want > 0 && got != want {
			t.Errorf("after %s the probe's number is %d, want %d", set, got, want)
		}
		execIn(t, db, schema, "UPDATE rental SET rental_date = '2005-01-01' WHERE rental_id = 64")
	}
}

func execIn(t *testing.T, db *sql.DB, schema, stmt string) {
	t.Helper()
	s, err := openSession(t.Context(), db, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.conn.ExecContext(t.Context(), stmt); err != nil {
		t.Fatal(err)
	}
}
