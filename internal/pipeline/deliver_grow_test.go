package pipeline

import (
	"slices"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks/memory"
)

// What has gathered while the destination was busy is one batch, also where records without rows lie between, and
// the Mark is behind the last of them.
func TestBatchesGrowPastIdleRecords(t *testing.T) {
	for name, ahead := range map[string]int{"in turn": 0, "overlapping": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			tab := testTable("t")
			f := newFeed(t, tab)
			db := memory.NewDB()
			sink := &counted{Sink: memory.Open(db, memory.Options{Reader: "neptune"})}
			d := f.deliver(sink, func(Ask) { f.cover("neptune", tab, true) }, func(c *DeliverConfig) {
				c.Ahead = ahead
				c.Batch = func() BatchLimits { return BatchLimits{MinRows: 1, MaxRows: 1000, MaxDelay: 10 * time.Second} }
			}, targetOf(tab))
			if err := d.start(t.Context()); err != nil {
				t.Fatal(err)
			}
			settle(t, d, f)
			sink.applied = nil
			for i := range int64(10) {
				f.idle()
				f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(i, i))
			}
			end := f.idle()
			for {
				if err := d.step(t.Context()); err != nil {
					t.Fatal(err)
				}
				at, err := sink.Applied(t.Context(), testStream)
				if err != nil {
					t.Fatal(err)
				}
				if at.Seq == f.w.State().Seq() {
					if at.ID != end {
						t.Errorf("the destination stands at record %s, want %s", at.ID, end)
					}
					break
				}
			}
			if got := len(rowsOf(db, "t")); got != 10 || !slices.Equal(sink.applied, []change.UnitKind{change.Changes}) {
				t.Errorf("%d rows in batches %v, want 10 in one", got, sink.applied)
			}
		})
	}
}

// idle commits a record that says only how far the source is, and returns its id.
func (f *feed) idle() string {
	f.t.Helper()
	if err := f.w.Begin(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	last := f.w.State().Seq()
	p, err := f.w.Commit(f.t.Context(), wire.Progress{Kind: change.Idle, SeqFrom: last + 1, SeqTo: last}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for f.b.Marker(func(int) int { return 0 }) {
	}
	return p.ID
}

// A batch ends before it holds more than may be held, so that wide rows are read ahead as narrow ones are.
func TestBatchesEndWhereMemoryDoes(t *testing.T) {
	const rows, most = 100, 10
	tab := testTable("t")
	f := newFeed(t, tab)
	db := memory.NewDB()
	sink := &counted{Sink: memory.Open(db, memory.Options{Reader: "neptune"})}
	d := f.deliver(sink, func(Ask) { f.cover("neptune", tab, true) }, func(c *DeliverConfig) {
		c.Ahead = most * rowOf(0, 0).MemSize()
		c.Batch = func() BatchLimits { return BatchLimits{MinRows: 1, MaxRows: 10 * rows, MaxDelay: time.Hour} }
	}, targetOf(tab))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	sink.applied = nil
	for i := range int64(rows) {
		f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(i, i))
	}
	for at := (change.Mark{}); at.Seq < f.w.State().Seq(); {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d.ahead != nil && d.ahead.spilled {
			t.Fatal("a batch of small transactions is read twice")
		}
		var err error
		if at, err = sink.Applied(t.Context(), testStream); err != nil {
			t.Fatal(err)
		}
	}
	if got, n := len(rowsOf(db, "t")), len(sink.applied); got != rows || n < rows/most || n > 2*rows/most {
		t.Errorf("%d rows in %d batches, want %d in about %d", got, n, rows, rows/most)
	}
}
