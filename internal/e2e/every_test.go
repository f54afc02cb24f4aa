package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
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
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(uint64(seed), 3))
	s := newScene(t, testenv.MariaDB(t)).sakila(0.1).warehouse(0.1)
	legs := []destination{
		s.ownPostgres(),
		onSQLServer(t, "mars", s.views),
		onSQLServer(t, "venus", s.views),
		onClickHouse(t, "clickhouse", s.views),
	}
	for _, leg := range legs[1:] {
		s.more = append(s.more, leg.settings)
	}
	s.start()
	s.waitShown(2 * time.Minute)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for _, l := range []*sample.Load{
		sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: seed, Workers: 3, RatePerSecond: 50}),
		sample.NewWarehouseLoad(s.db, "warehouse", sample.LoadOptions{Seed: seed, Workers: 2, RatePerSecond: 25}),
	} {
		work.Go(func() {
			if _, err := l.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("load: %v", err)
			}
		})
	}
	seen := make([]ledgerSeen, len(legs))
	for i, leg := range legs {
		first, err := leg.ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() { seen[i].watch(ctx, t, leg, first) })
	}
	for round, end := 0, time.Now().Add(budget(4)); round == 0 || time.Now().Before(end); round++ {
		s.killAll(rnd, legs)
	}
	stop()
	work.Wait()
	s.waitShown(2 * time.Minute)
	s.verify()
	s.digests()
	s.sameEverywhere(legs)
	for i, leg := range legs {
		what := "saw a state that the source did not have"
		if leg.apart {
			what = "saw a view in the middle of a batch"
		}
		t.Logf("%s: %d reads, %d saw something new, %d were refused by a server that was down; reads that %s: %d",
			leg.name, seen[i].reads, seen[i].moved, seen[i].down, what, seen[i].wrong)
		if seen[i].reads < 50 || seen[i].moved < 5 {
			t.Errorf("%s was read only %d times, %d of them with something new", leg.name, seen[i].reads, seen[i].moved)
		}
	}
}

// killAll kills the daemon and every destination several times, in random order and at random moments. A destination
// stays down for a moment.
func (s *scene) killAll(rnd *rand.Rand, legs []destination) {
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
type ledgerSeen struct{ reads, moved, down, wrong int }

func (n *ledgerSeen) watch(ctx context.Context, t *testing.T, leg destination, want ledger) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	at := want.seq
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		got, err := leg.ledger(ctx)
		if err != nil {
			n.down++ // its server was killed; that it answers in the end is asked for elsewhere
			continue
		}
		n.reads++
		if got.seq != at {
			n.moved++
		}
		if got.seq < at {
			n.wrong++
			t.Errorf("%s: a reader saw it move back from %d to %d", leg.name, at, got.seq)
		}
		at = got.seq
		if got.sum != want.sum || got.rows != want.rows || got.stock != want.stock {
			if n.wrong++; n.wrong <= 3 {
				t.Errorf("%s: a reader saw %+v; the source always had %+v", leg.name, got, want)
			}
		}
	}
}

// sameEverywhere asks every destination and the source the same question.
func (s *scene) sameEverywhere(legs []destination) {
	s.t.Helper()
	var truth [2][3]string
	for i, ask := range []struct{ schema, query string }{
		{"sakila", sample.FlatDigest(sample.MySQL, sample.FlatSource(), "")},
		{"warehouse", sample.WarehouseDigest(sample.MySQL, sample.WarehouseSource(), "")},
	} {
		db, err := s.source.Open(ask.schema)
		if err != nil {
			s.t.Fatal(err)
		}
		err = db.QueryRowContext(s.t.Context(), ask.query).Scan(&truth[i][0], &truth[i][1], &truth[i][2])
		if err := errors.Join(err, db.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, leg := range legs {
		got, err := leg.digest(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range truth {
			if got[i] != truth[i] {
				s.t.Errorf("%s: count, sum, digest %v, the source %v", leg.name, got[i], truth[i])
			}
		}
	}
}
