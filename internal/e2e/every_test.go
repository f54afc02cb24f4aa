package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestEveryDestination: one source under a mixed load on two schemas, all four destinations at once; each of them is
// killed and restarted at random, and so is the daemon. Readers of every transactional destination never see a state
// that the source did not have, a reader of ClickHouse sees no view in the middle of a batch, and in the end all are
// equal, row for row. (Invariants I1, I2, I3, I4, I6.)
func TestEveryDestination(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.1).warehouse(0.1)
	deliver := deliverViews(s.views)
	legs := []*destination{
		s.ownPostgres(), onSQLServer(t, "mars", deliver), onSQLServer(t, "venus", deliver), onClickHouse(t, "clickhouse", deliver),
	}
	for _, leg := range legs[1:] {
		s.more = append(s.more, leg.settings)
	}
	s.start()
	s.waitShown(2 * time.Minute)
	s.underKills(legs, viewStream, func(d *destination) []string {
		return []string{
			sample.LedgerSum(d.dialect, d.named("", "CustomerOrderFlat"), ""), sample.WarehouseLedgerSum(d.dialect, d.named("", "StockSheet"), ""),
		}
	})
	s.verify()
	s.digests()
	s.sameEverywhere(legs)
}

// underKills has a mixed load write to both schemas, kills and restarts the daemon and every destination at random,
// and has a reader at each destination ask for ledgers, whose answers no state of the source changes. It returns
// once everything is shown.
func (s *scene) underKills(legs []*destination, stream string, ledgers func(*destination) []string) {
	s.t.Helper()
	seed := seedOf(s.t)
	rnd := rand.New(rand.NewPCG(uint64(seed), 3))
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	var work sync.WaitGroup
	for _, l := range []*sample.Load{
		sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: seed, Workers: 3, RatePerSecond: 50}),
		sample.NewWarehouseLoad(s.db, "warehouse", sample.LoadOptions{Seed: seed, Workers: 2, RatePerSecond: 25}),
	} {
		work.Go(func() {
			if _, err := l.Run(ctx); err != nil && ctx.Err() == nil {
				s.t.Errorf("load: %v", err)
			}
		})
	}
	seen := make([]ledgerSeen, len(legs))
	for i, leg := range legs {
		read := func(ctx context.Context) (ledger, error) { return leg.ledger(ctx, stream, ledgers(leg)) }
		first, err := read(s.t.Context())
		if err != nil {
			s.t.Fatalf("%s: %v", leg.name, err)
		}
		work.Go(func() { seen[i].watch(ctx, s.t, leg.name, read, first) })
	}
	for round, end := 0, time.Now().Add(budget(4)); round == 0 || time.Now().Before(end); round++ {
		s.killAll(rnd, legs)
	}
	const least = 5 // kills that follow each other fast leave a destination no time
	eventually(s.t, 2*time.Minute, "every reader has seen something new several times", func(context.Context) bool {
		for i := range seen {
			if seen[i].moved.Load() < least {
				return false
			}
		}
		return true
	})
	stop()
	work.Wait()
	s.waitShown(2 * time.Minute)
	for i, leg := range legs {
		what := "saw a state that the source did not have"
		if leg.apart {
			what = "saw a table in the middle of a batch"
		}
		s.t.Logf("%s: %d reads, %d saw something new, %d were refused by a server that was down; reads that %s: %d",
			leg.name, seen[i].reads, seen[i].moved.Load(), seen[i].down, what, seen[i].wrong)
		if seen[i].reads < 50 {
			s.t.Errorf("%s was read only %d times", leg.name, seen[i].reads)
		}
	}
}

// killAll kills the daemon and every destination several times, in random order and at random moments. A destination
// stays down for a moment.
func (s *scene) killAll(rnd *rand.Rand, legs []*destination) {
	s.t.Helper()
	const daemonKills, legKills = 6, 3
	var order []int // of legs; -1 is the daemon
	for range daemonKills {
		order = append(order, -1)
	}
	for i := range legs {
		for range legKills {
			order = append(order, i)
		}
	}
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	pause := func(most int) {
		s.t.Helper()
		timer := time.NewTimer(time.Duration(100+rnd.IntN(most)) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.exited:
			s.t.Fatalf("the daemon ended by itself with status %d\n%s", s.status, s.tail(10))
		}
	}
	for _, victim := range order {
		pause(1200)
		if victim < 0 {
			s.kill()
			s.start()
			continue
		}
		if err := legs[victim].kill(); err != nil {
			s.t.Fatal(err)
		}
		pause(800)
		if err := legs[victim].restart(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ledgerSeen is what a reader has seen.
type ledgerSeen struct {
	reads, down, wrong int
	moved              atomic.Int64 // places that it saw one after the other
}

func (n *ledgerSeen) watch(ctx context.Context, t *testing.T, name string, read func(context.Context) (ledger, error), want ledger) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	at := want.seq
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		got, err := read(ctx)
		if err != nil {
			n.down++ // its server was killed; that it answers in the end is asked for elsewhere
			continue
		}
		n.reads++
		if got.seq != at {
			n.moved.Add(1)
		}
		if got.seq < at {
			n.wrong++
			t.Errorf("%s: a reader saw it move back from %d to %d", name, at, got.seq)
		}
		at = got.seq
		if got.sums != want.sums {
			if n.wrong++; n.wrong <= 3 {
				t.Errorf("%s: a reader saw %q at %d; the source always had %q", name, got.sums, got.seq, want.sums)
			}
		}
	}
}

// sameEverywhere asks every destination and the source the same question.
func (s *scene) sameEverywhere(legs []*destination) {
	s.t.Helper()
	for _, ask := range []struct {
		schema, view, mine string
		digest             func(d sample.Dialect, from, where string) string
	}{
		{"sakila", "CustomerOrderFlat", sample.FlatSource(), sample.FlatDigest},
		{"warehouse", "StockSheet", sample.WarehouseSource(), sample.WarehouseDigest},
	} {
		db, err := s.source.Open(ask.schema)
		if err != nil {
			s.t.Fatal(err)
		}
		truth, err := firstRow(s.t.Context(), db, ask.digest(sample.MySQL, ask.mine, ""))
		if err := errors.Join(err, db.Close()); err != nil {
			s.t.Fatal(err)
		}
		for _, leg := range legs {
			got, err := firstRow(s.t.Context(), leg.db, ask.digest(leg.dialect, leg.named("", ask.view), ""))
			if err != nil {
				s.t.Fatalf("%s: %v", leg.name, err)
			}
			if strings.Join(got, " ") != strings.Join(truth, " ") {
				s.t.Errorf("%s of %s: count, sum, digest %v, the source %v", ask.view, leg.name, got, truth)
			}
		}
	}
}
