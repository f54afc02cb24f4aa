//go:build linux || darwin

package joiner_test

import (
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
)

// BenchmarkEveryRow measures statements that change every row of a table of 100,000: one batch, each row of
// the view changes. "spilled" has the memory that the program gives it by default and moves parts of the batch
// to scratch; "memory" has no limit. What to compare is the processor time of the whole process, its background
// work included, in the round that took least: the rest depends on what else the machine does.
func BenchmarkEveryRow(b *testing.B) {
	statements := []struct {
		name string
		row  func(i, round int) change.Event
	}{
		{"payment", func(i, round int) change.Event {
			return change.Event{Before: payment(i, rentalOf(i), (i+round)%1000), After: payment(i, rentalOf(i), (i+round+1)%1000)}
		}},
		{"rental", func(i, round int) change.Event {
			before, after := rental(i, i%benchCustomers+1), rental(i, i%benchCustomers+1)
			before[1], after[1] = moment(i+round), moment(i+round+1)
			return change.Event{Before: before, After: after}
		}},
	}
	for _, limit := range []struct {
		name  string
		bytes int
	}{{"memory", 0}, {"spilled", 64 << 20}} {
		for _, s := range statements {
			b.Run(fmt.Sprintf("%s/%s", s.name, limit.name), func(b *testing.B) {
				bn := newBenchWith(b, 170<<20)
				bn.fill(b)
				o := joiner.Options{Limit: limit.bytes, Scratch: func() (joiner.Scratch, error) { return bn.store.Scratch() }}
				b.ReportAllocs()
				outputs := 0
				least := time.Duration(math.MaxInt64)
				for round := 0; b.Loop(); round++ {
					began := processorTime(b)
					outputs += bn.apply(b, o, func(jb *joiner.Batch) error {
						for i := 1; i <= benchRentals; i++ {
							ev := s.row(i, round)
							ev.Table, ev.Op = bn.shop[s.name], change.Update
							if err := jb.Apply(&ev); err != nil {
								return err
							}
						}
						return nil
					})
					least = min(least, processorTime(b)-began)
				}
				if outputs != b.N*benchRentals {
					b.Errorf("%d outputs in %d rounds", outputs, b.N)
				}
				b.ReportMetric(float64(least)/benchRentals, "cpu-ns/row")
			})
		}
	}
}

// processorTime is what the process has used so far.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
