package joiner_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestLargeTransaction applies one transaction of very many rows: 100,000, with CDC_TEST_BUDGET of ten
// minutes or more 2,000,000. The heap must not grow with it, and the outputs must be complete and net.
func TestLargeTransaction(t *testing.T) {
	rows := 100_000
	if budget(t) >= 30*time.Second {
		rows = 2_000_000
	}
	bn := newBench(t)
	bn.cover(t, "category", benchCategories, func(i int) change.Row { return change.Row{u(i), text("C"), moment(0)} })
	bn.cover(t, "film", benchFilms, func(i int) change.Row { return change.Row{u(i), text("T"), text("x"), moment(0)} })
	bn.cover(t, "film_category", benchFilms, func(i int) change.Row { return change.Row{u(i), u(i%benchCategories + 1), moment(0)} })
	bn.cover(t, "inventory", benchInventory, func(i int) change.Row { return change.Row{u(i), u(i%benchFilms + 1), u(1), moment(0)} })
	bn.cover(t, "customer", benchCustomers, func(i int) change.Row { return customer(i, "F") })

	var top uint64
	sample := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		top = max(top, m.HeapAlloc)
	}
	runtime.GC()
	sample()
	bn.sample = sample
	before := top
	start := time.Now()
	o := joiner.Options{Limit: 8 << 20, Scratch: func() (joiner.Scratch, error) { return bn.store.Scratch() }}
	outputs := bn.apply(t, o, func(b *joiner.Batch) error {
		for i := 1; i <= rows/2; i++ {
			r := change.Event{Table: bn.shop["rental"], Op: change.Insert, After: rental(i, i%benchCustomers+1)}
			p := change.Event{Table: bn.shop["payment"], Op: change.Insert, After: payment(i, i, i%1000)}
			if err := b.Apply(&r); err != nil {
				return err
			}
			if err := b.Apply(&p); err != nil {
				return err
			}
			if i%10_000 == 0 {
				sample()
			}
		}
		if b.Stats().Spilled == 0 {
			t.Error("the batch did not spill: the test does not test")
		}
		return nil
	})
	sample()
	took := time.Since(start)
	if outputs != rows/2 {
		t.Errorf("%d outputs, want %d", outputs, rows/2)
	}
	// The store's own memory (256 MiB at most, far less in use), the batch's limit, and what the garbage
	// collector has not taken yet.
	if limit := uint64(400 << 20); top > limit {
		t.Errorf("the heap grew from %d to %d MiB, limit %d", before>>20, top>>20, limit>>20)
	}
	t.Logf("%d rows in %v, heap %d -> %d MiB", rows, took.Round(time.Millisecond), before>>20, top>>20)

	// The rows are there: a payment's change finds its way through all tables.
	ev := change.Event{Table: bn.shop["payment"], Op: change.Update, Before: payment(rows/2, rows/2, rows/2%1000), After: payment(rows/2, rows/2, 1001)}
	if n := bn.apply(t, joiner.Options{}, func(b *joiner.Batch) error { return b.Apply(&ev) }); n != 1 {
		t.Errorf("a change after it gives %d outputs, want 1", n)
	}
}
