package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

// picky is a destination that refuses some targets, as one whose names are too long, or their shapes at a moment.
type picky struct {
	sinks.Sink
	refuses  map[string]bool // at Prepare
	stumbles map[string]bool // at the next batch
	prepared [][]string
}

func (p *picky) Prepare(ctx context.Context, name string, targets []sinks.Target) error {
	var names []string
	for _, t := range targets {
		names = append(names, t.From)
		if p.refuses[t.From] {
			return fmt.Errorf("prepare: %w", sinks.OfTarget(t.From, &sinks.StopError{What: "the name is too long", Hint: "shorten it"}))
		}
	}
	p.prepared = append(p.prepared, names)
	return p.Sink.Prepare(ctx, name, targets)
}

func (p *picky) Apply(ctx context.Context, b *change.Batch) error {
	for name := range p.stumbles {
		delete(p.stumbles, name)
		return sinks.OfTarget(name, &sinks.StopError{What: "the column cannot be widened", Hint: "ALTER TABLE"})
	}
	return p.Sink.Apply(ctx, b)
}

func (p *picky) Boundaries(ctx context.Context, name string) (map[string]sinks.TableState, error) {
	return p.Sink.(sinks.Boundaries).Boundaries(ctx, name)
}

// A table that the destination refuses is put aside, and the others are delivered; a cover of it, once it is mended,
// brings it back.
func TestRefusedTableAside(t *testing.T) {
	good, bad := testTable("good"), testTable("bad")
	f := newFeed(t, good, bad)
	db := memory.NewDB()
	sink := &picky{Sink: memory.Open(db, memory.Options{Reader: "neptune"}), refuses: map[string]bool{"d.bad": true}}
	var aside map[string]error
	asked := []string(nil)
	d := f.deliver(sink, func(a Ask) { asked = a.Tables; f.cover("neptune", good, true, []change.Row{rowOf(1, 1)}) },
		func(c *DeliverConfig) { c.Aside = func(why map[string]error) { aside = why } }, targetOf(good), targetOf(bad))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	if !slices.Equal(asked, []string{"d.good"}) || len(aside) != 1 || aside["d.bad"] == nil || len(rowsOf(db, "good")) != 1 {
		t.Fatalf("asked for %v, aside %v, rows %v", asked, aside, rowsOf(db, "good"))
	}
	f.cover("", bad, false, []change.Row{rowOf(1, 1)}) // still refused: nothing but a further look
	settle(t, d, f)
	if len(aside) != 1 || len(rowsOf(db, "bad")) > 0 {
		t.Fatalf("aside %v, rows %v", aside, rowsOf(db, "bad"))
	}
	sink.refuses = nil
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, bad, rowOf(2, 2)) // brings nothing back
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, good, rowOf(2, 2))
	settle(t, d, f)
	f.cover("", bad, false, []change.Row{rowOf(1, 1), rowOf(2, 2)})
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, bad, rowOf(3, 3))
	settle(t, d, f)
	if len(aside) > 0 || len(rowsOf(db, "good")) != 2 || len(rowsOf(db, "bad")) != 3 {
		t.Errorf("aside %v, rows %v and %v", aside, rowsOf(db, "good"), rowsOf(db, "bad"))
	}
}

// A table whose new shape is refused in the middle of the stream stays at its boundary, which the destination writes
// down, and the batch is applied without it.
func TestRefusedShapeAside(t *testing.T) {
	good, bad := testTable("good"), testTable("bad")
	f := newFeed(t, good, bad)
	db := memory.NewDB()
	sink := &picky{Sink: memory.Open(db, memory.Options{Reader: "neptune"}), stumbles: map[string]bool{}}
	asks := 0
	fill := func(Ask) {
		asks++
		c := change.Cover{ID: fmt.Sprint("c", asks), Heal: true, For: "neptune", Tables: []string{"d.bad", "d.good"}}
		f.put(wire.Progress{Kind: change.Begin, Cover: &c, Tables: []*change.Table{good, bad}}, 0, nil)
		for _, tab := range []*change.Table{good, bad} {
			part := c
			part.Tables, part.Table = nil, tab.ID.String()
			f.put(wire.Progress{Kind: change.Chunk, Cover: &part}, change.Read, tab, rowOf(1, int64(asks)), rowOf(2, int64(asks)))
		}
		f.put(wire.Progress{Kind: change.End, Cover: &c}, 0, nil)
	}
	d := f.deliver(sink, fill, nil, targetOf(good), targetOf(bad))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	before := f.w.State().Seq()
	sink.stumbles["d.bad"] = true
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, good, rowOf(3, 3))
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, bad, rowOf(3, 3))
	settle(t, d, f)
	snap := db.Snapshot()
	st := snap.States[testStream]["d.bad"]
	if len(snap.Rows["good"]) != 3 || len(snap.Rows["bad"]) != 2 || st.Phase != sinks.Waiting || st.Boundary.Seq != before {
		t.Fatalf("rows %v and %v, state %+v, want it waiting at %d", snap.Rows["good"], snap.Rows["bad"], st, before)
	}
	// The next start finds out that it is mended, and has it filled.
	d = f.deliver(sink, fill, nil, targetOf(good), targetOf(bad))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	if snap = db.Snapshot(); asks != 2 || len(snap.States[testStream]) > 0 || len(snap.Rows["bad"]) != 2 {
		t.Errorf("%d covers, rows %v, states %v", asks, snap.Rows["bad"], snap.States[testStream])
	}
}

// When nothing is left to deliver the stage stops, with every reason.
func TestEveryTargetRefused(t *testing.T) {
	one, two := testTable("one"), testTable("two")
	f := newFeed(t, one, two)
	sink := &picky{Sink: memory.Open(memory.NewDB(), memory.Options{Reader: "neptune"}), refuses: map[string]bool{"d.one": true, "d.two": true}}
	d := f.deliver(sink, func(Ask) { t.Error("a cover was asked for") }, nil, targetOf(one), targetOf(two))
	err := d.start(t.Context())
	if v := Judge(err); v.Scope != ScopeSink || v.Retry {
		t.Errorf("%v is judged %+v", err, v)
	}
	for _, name := range []string{"d.one", "d.two"} {
		var of *sinks.TargetError
		if !errors.As(err, &of) || !containsText(err, name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// A cover is asked for only when the destination's other stream is ready too.
func TestAskWaitsForTheOtherStream(t *testing.T) {
	tab := testTable("t")
	f := newFeed(t, tab)
	ready, waits, asked := make(chan struct{}), make(chan struct{}, 1), make(chan struct{}, 1)
	d := f.deliver(memory.Open(memory.NewDB(), memory.Options{Reader: "neptune"}), func(Ask) {
		select {
		case asked <- struct{}{}:
		default:
		}
	}, func(c *DeliverConfig) {
		c.Ready = func(ctx context.Context) error {
			waits <- struct{}{}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ready:
				return nil
			}
		}
	}, targetOf(tab))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	<-waits
	if len(asked) > 0 {
		t.Error("asked before the other stream was ready")
	}
	close(ready)
	<-asked
	stop()
	<-done
}

func containsText(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}
