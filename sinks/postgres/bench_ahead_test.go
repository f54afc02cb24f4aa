package postgres

import (
	"math/rand/v2"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// BenchmarkAhead compares batches of 10,000 rows that are encoded while the one before is applied with those that are not.
func BenchmarkAhead(b *testing.B) {
	h := newBench(b, benchDatabase(b))
	rng := rand.New(rand.NewPCG(5, 6))
	held := benchRows(b)
	next := held
	for name, event := range map[string]func() change.Event{
		"insert": func() change.Event { next++; return change.Event{Op: change.Insert, After: flatRow(next, 0)} },
		"update": func() change.Event {
			n := rng.Int64N(held)
			return change.Event{Op: change.Update, Before: flatRow(n, 0), After: flatRow(n, rng.Int64())}
		},
	} {
		b.Run(name, func(b *testing.B) {
			sinktest.BenchAhead(b, h.sink, func() *change.Batch {
				const size = 10_000
				events := make([]change.Event, size)
				for i := range events {
					events[i] = event()
				}
				return h.batch(change.Changes, nil, size, func(i int) change.Event { return events[i] })
			})
		})
	}
}
