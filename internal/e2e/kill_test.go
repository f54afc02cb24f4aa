package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// minKills is how often the daemon is killed at least, at random moments.
const minKills = 20

// TestKillMariaDB and TestKillMySQL: under a mixed load on two unrelated schemas the daemon is killed again
// and again, while a reader in the destination watches sums that every state of the source has. At the end
// both sides are equal row for row. (Invariants I1, I2, I3, I4.)
func TestKillMariaDB(t *testing.T) { testKill(t, testenv.MariaDB(t)) }

func TestKillMySQL(t *testing.T) { testKill(t, testenv.MySQL(t)) }

func testKill(t *testing.T, source *testenv.MySQLServer) {
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	s := newScene(t, source).sakila(0.1).warehouse(0.1)
	s.start()
	s.waitShown(90 * time.Second)

	load, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	loads := []*sample.Load{
		sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: seed, Workers: 3, RatePerSecond: 60}),
		sample.NewWarehouseLoad(s.db, "warehouse", sample.LoadOptions{Seed: seed, Workers: 2, RatePerSecond: 30}),
	}
	for _, l := range loads {
		work.Go(func() {
			if _, err := l.Run(load); err != nil && load.Err() == nil {
				t.Errorf("load: %v", err)
			}
		})
	}
	reader := watchSums(t, s, load, &work)

	end := time.Now().Add(budget(4))
	kills := 0
	for ; kills < minKills || time.Now().Before(end); kills++ {
		pause := time.NewTimer(time.Duration(100+rnd.IntN(1400)) * time.Millisecond)
		select {
		case <-pause.C:
			s.kill()
		case <-s.exited:
			t.Fatalf("the daemon ended by itself with status %d\n%s", s.status, s.tail(10))
		}
		s.start()
	}
	stop()
	work.Wait()
	s.waitShown(90 * time.Second)
	s.verify()
	s.digests()
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	st := loads[0].Stats()
	t.Logf("%d kills; %d and %d transactions; %d reads by the reader, %d of them saw something new, none saw a state that the source did not have",
		kills, st.Transactions, loads[1].Stats().Transactions, reader.reads, reader.moved)
	if reader.reads < 100 {
		t.Errorf("the reader read only %d times", reader.reads)
	}
}

// sums is what a concurrent reader has seen.
type sums struct{ reads, moved, violations int }

// watchSums reads, as fast as the destination answers, what every state of the source has in common: the
// totals over ledgers between whose rows amounts only move.
func watchSums(t *testing.T, s *scene, ctx context.Context, work *sync.WaitGroup) *sums {
	out := &sums{}
	pg := s.postgres()
	flat := sample.LedgerSum(sample.PostgreSQL, `"CustomerOrderFlat"`, "")
	stock := sample.WarehouseLedgerSum(sample.PostgreSQL, `"StockSheet"`, "")
	read := func() (a, b, c, d string, err error) {
		err = pgx.BeginTxFunc(ctx, pg, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, flat).Scan(&a, &b); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, stock).Scan(&c); err != nil {
				return err
			}
			return tx.QueryRow(ctx, "SELECT seq::text FROM cdc_progress WHERE stream = 'jupiter-views' AND table_name = ''").Scan(&d)
		})
		return a, b, c, d, err
	}
	sum, rows, stockSum, at, err := read()
	if err != nil {
		t.Fatal(err)
	}
	work.Go(func() {
		for ctx.Err() == nil {
			a, b, c, d, err := read()
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("reader: %v", err)
				}
				return
			}
			out.reads++
			if d != at {
				out.moved++
			}
			if d < at {
				t.Errorf("reader: seq moved back from %s to %s", at, d)
			}
			at = d
			if a != sum || b != rows || c != stockSum {
				out.violations++
				t.Errorf("reader saw sum %s over %s rows and stock %s at seq %s; the source always had %s, %s, %s", a, b, c, d, sum, rows, stockSum)
				return
			}
		}
	})
	return out
}
