package sinktest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// The ways that BenchAhead compares.
const (
	inTurn    = iota // each batch is encoded when it is applied
	meanwhile        // while the one before is applied
	before           // before the clock runs: what is left for Apply
	ways
)

// BenchAhead reports milliseconds per batch, medians of short runs by turns: encoded when it is applied, while the one
// before is applied, and before, when Apply has the destination's part only. The second comes down to the third where
// processors are free. next makes a batch whose events are in memory.
func BenchAhead(b *testing.B, s sinks.Sink, next func() *change.Batch) {
	b.Helper()
	e, ok := s.(sinks.Encoder)
	if !ok {
		b.Fatal("the sink encodes nothing ahead")
	}
	const chain = 6
	var took [ways][]float64
	for b.Loop() {
		for way := range took {
			batches := make([]*change.Batch, chain)
			for i := range batches {
				batches[i] = next()
				if way == before {
					batches[i].Encoded = e.Encoder(batches[i].Stream)(b.Context(), batches[i])
				}
			}
			began := time.Now()
			for i, batch := range batches {
				var encoding sync.WaitGroup
				if way == meanwhile && i+1 < chain {
					encode, after := e.Encoder(batch.Stream), batches[i+1]
					encoding.Go(func() { after.Encoded = encode(b.Context(), after) })
				}
				err := s.Apply(b.Context(), batch)
				encoding.Wait()
				if err != nil {
					b.Fatal(err)
				}
			}
			took[way] = append(took[way], time.Since(began).Seconds()*1000/chain)
			if ahead := batches[chain-1].Encoded != nil; ahead != (way != inTurn) {
				b.Fatalf("the last batch was encoded ahead: %t", ahead)
			}
		}
	}
	for way, name := range [ways]string{"ms/in-turn", "ms/meanwhile", "ms/before"} {
		slices.Sort(took[way])
		b.ReportMetric(took[way][len(took[way])/2], name)
	}
}
