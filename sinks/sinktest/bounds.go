package sinktest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// testStatements: a batch costs the same number of statements and effects however many rows it holds.
func testStatements(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg)
	statements, effects := 0, 0
	s := b.open(t, Options{
		Observer: sinks.Observer{Statement: func() { statements++ }},
		Hook:     func(string) error { effects++; return nil },
	}, tg)
	count := func(batch *change.Batch) [2]int {
		statements, effects = 0, 0
		apply(t, s, batch)
		return [2]int{statements, effects}
	}
	inserts := func(first, n int) []change.Event {
		events := make([]change.Event, n)
		for i := range events {
			events[i] = insert(tg.Table, order(int64(first+i), "name", "1.00"))
		}
		return events
	}
	// A destination may take small batches another way; both ways are looked at.
	for _, c := range []struct{ few, many int }{{2, 100}, {2000, 8000}} {
		count(b.changes(inserts(c.few*20_000, c.few)...)) // the first may prepare statements and temporary tables
		one := count(b.changes(inserts(c.few*10_000, c.few)...))
		other := count(b.changes(inserts(c.many*10_000, c.many)...))
		if one != other {
			t.Errorf("statements and effects: %v for %d rows, %v for %d", one, c.few, other, c.many)
		}
		if one[1] == 0 {
			t.Errorf("the hook saw no effect of %d rows", c.few)
		}
	}
}

// testLazy: a batch whose events are made as they are read leaves no more in the process than its rows in
// the end and a share for buffers.
func testLazy(t *testing.T, b *bench) {
	const (
		events, keys = 40_000, 50
		size         = 2000     // bytes of text per event: 80 MB in all
		limit        = 32 << 20 // bytes
	)
	tg := target(&change.Table{
		ID:      change.TableID{Name: "Long"},
		Columns: []change.Column{{Name: "Id", Type: intType}, {Name: "Text", Type: textType(size + 10), Nullable: true}},
		Key:     []int{0},
	})
	b.loaded(t, Options{}, tg)
	s := b.open(t, Options{Memory: 1 << 20}, tg)
	row := func(i int) change.Row {
		return change.Row{change.IntValue(int64(i % keys)), change.StringValue(fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))}
	}
	batch := b.changes()
	var grown int64
	before := heap()
	batch.Rows = events
	batch.Open = func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for i := range events {
				ev := insert(tg.Table, row(i))
				ev.Seq, ev.Idx = batch.To, i
				if !yield(ev, nil) {
					return
				}
				if i%(events/8) == events/8-1 {
					grown = max(grown, heap()-before)
				}
			}
		}
	}
	apply(t, s, batch)
	if grown > limit {
		t.Errorf("the process grew by %d bytes while it read a batch of %d, want at most %d", grown, events*size, limit)
	}
	var want []change.Row
	for i := events - keys; i < events; i++ {
		want = append(want, row(i))
	}
	b.want(t, tg, want...)
}

// heap is what the process holds, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// testSlow: a batch that is given up while an effect waits has happened as a whole or not at all, and a
// new process goes on.
func testSlow(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(0, "first", "1.00"))
	want := []change.Row{order(0, "first", "1.00")}
	gaveUp := 0
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancel(t.Context())
		armed, effects := false, 0
		s := b.open(t, Options{Hook: func(string) error {
			if armed {
				if effects++; effects == at {
					cancel()
				}
			}
			return nil
		}}, tg)
		armed = true
		row := order(int64(at), "slow", "1.00")
		batch := b.changes(insert(tg.Table, row))
		err := s.Apply(ctx, batch)
		armed = false
		cancel()
		if err != nil {
			gaveUp++
			if class := sinks.ClassOf(err); class == sinks.Stop || errors.Is(err, sinks.ErrFenced) {
				t.Fatalf("given up at effect %d: %v, which stops the sink for good", at, err)
			}
		}
		closeSink(t, s)
		s = b.open(t, Options{}, tg)
		done := applied(t, s, b.stream) == batch.Mark
		switch {
		case done:
			b.want(t, tg, append(want, row)...)
		case !b.Limits.Moments:
			b.want(t, tg, want...)
		}
		apply(t, s, batch)
		want = append(want, row)
		b.want(t, tg, want...)
		if effects < at {
			break
		}
	}
	t.Logf("%d of the waits ended in an error", gaveUp)
}

// testEveryNull: a row of nothing but NULL beside its key, written, changed to values and back, and healed.
func testEveryNull(t *testing.T, b *bench) {
	tg := target(orders())
	null := func(id int64) change.Row {
		return change.Row{change.IntValue(id), change.NullValue(), change.NullValue()}
	}
	s := b.loaded(t, Options{}, tg, null(1), order(2, "two", "2.00"))
	b.want(t, tg, null(1), order(2, "two", "2.00"))
	apply(t, s, b.changes(update(tg.Table, null(1), order(1, "one", "1.00")), update(tg.Table, order(2, "two", "2.00"), null(2)), insert(tg.Table, null(3))))
	b.want(t, tg, order(1, "one", "1.00"), null(2), null(3))
	before := b.versions(t, tg)
	b.load(t, s, tg, null(1), null(2), order(3, "", "0.00"))
	b.want(t, tg, null(1), null(2), order(3, "", "0.00"))
	k := change.KeyOf(change.IntValue(2))
	if got := b.versions(t, tg)[k]; got != before[k] {
		t.Errorf("a row of NULLs that was right was written: version %s, before %s", got, before[k])
	}
}
