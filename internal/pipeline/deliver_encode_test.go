package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

// encoding is a destination that takes a batch only after the next one was encoded, unless it is the last.
type encoding struct {
	sinks.Sink
	t       *testing.T
	last    change.Seq
	encoded chan change.Seq
	held    int   // rows that the batch to be encoded gave
	had     []any // Encoded of the batches applied
}

func (e *encoding) Encoder(stream string) func(context.Context, *change.Batch) any {
	if stream != testStream {
		e.t.Errorf("asked for stream %q", stream)
	}
	return func(ctx context.Context, b *change.Batch) any {
		for _, err := range b.Events(ctx) {
			if err != nil {
				e.t.Error(err)
			}
			e.held++
		}
		e.encoded <- b.To
		return b.To
	}
}

func (e *encoding) Apply(ctx context.Context, b *change.Batch) error {
	if b.Kind == change.Changes {
		e.had = append(e.had, b.Encoded)
		if b.To < e.last {
			select {
			case to := <-e.encoded:
				if to != b.To+1 {
					return fmt.Errorf("batch %d was encoded while %d is applied", to, b.To)
				}
			case <-time.After(time.Minute):
				return fmt.Errorf("batch %d is applied, and the next one is not encoded", b.To)
			}
		}
	}
	return e.Sink.Apply(ctx, b)
}

// The next batch is read and encoded while one is applied; what the sink made of it comes with it.
func TestNextBatchIsEncodedMeanwhile(t *testing.T) {
	d, f, sink := encodingStage(t, nil)
	from := f.w.State().Seq()
	const batches = 5
	for i := range int64(batches) {
		f.put(wire.Progress{Kind: change.Changes}, change.Insert, testTable("t"), rowOf(i, i))
	}
	sink.last = f.w.State().Seq()
	stepTo(t, d, sink, sink.last)
	want := []any{nil} // there was none before it
	for i := range change.Seq(batches - 1) {
		want = append(want, from+i+2)
	}
	if diff := cmp.Diff(want, sink.had); diff != "" {
		t.Errorf("what was encoded of the batches applied (-want +got):\n%s", diff)
	}
	if sink.held != batches-1 {
		t.Errorf("the batches that were encoded had %d rows, want %d", sink.held, batches-1)
	}
}

// A batch that contracts have a say in is encoded when it is applied, also when they came after it was read.
func TestCheckedBatchIsNotEncodedAhead(t *testing.T) {
	for name, from := range map[string]int64{"from the start": 0, "from the second on": 2} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			d, f, sink := encodingStage(t, func(b *change.Batch) *change.Batch {
				if b.Kind != change.Changes {
					return b
				}
				if asked.Add(1) <= from {
					return b
				}
				checked := *b
				return &checked
			})
			for i := range int64(4) {
				f.put(wire.Progress{Kind: change.Changes}, change.Insert, testTable("t"), rowOf(i, i))
			}
			stepTo(t, d, sink, f.w.State().Seq())
			if want := make([]any, 4); !slices.Equal(sink.had, want) {
				t.Errorf("batches came with %v, want nothing", sink.had)
			}
		})
	}
}

func encodingStage(t *testing.T, checked func(*change.Batch) *change.Batch) (*Deliver, *feed, *encoding) {
	t.Helper()
	tab := testTable("t")
	f := newFeed(t, tab)
	sink := &encoding{Sink: memory.Open(memory.NewDB(), memory.Options{Reader: "neptune"}), t: t, encoded: make(chan change.Seq, 10)}
	d := f.deliver(sink, func(Ask) { f.cover("neptune", tab, true) }, func(c *DeliverConfig) { c.Ahead, c.Checked = 1<<20, checked }, targetOf(tab))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	return d, f, sink
}

func stepTo(t *testing.T, d *Deliver, sink sinks.Sink, seq change.Seq) {
	t.Helper()
	for at := (change.Mark{}); at.Seq < seq; {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if at, err = sink.Applied(t.Context(), testStream); err != nil {
			t.Fatal(err)
		}
	}
}
