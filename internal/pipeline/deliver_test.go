package pipeline

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/memlog"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

const testStream = "s"

// feed writes a stream by hand; its clock stands still.
type feed struct {
	t   *testing.T
	b   *memlog.Broker
	w   *stream.Writer
	row *rowWriter
	ids int
}

func newFeed(t *testing.T, tables ...*change.Table) *feed {
	t.Helper()
	f := &feed{t: t, b: memlog.New()}
	f.b.CreateTopic(stream.ProgressTopic(testStream), 1)
	f.b.CreateTopic(stream.MetaTopic(testStream), 1)
	for _, tab := range tables {
		f.b.CreateTopic(stream.DataTopic(testStream, tab.ID), 1)
	}
	f.w = stream.NewWriter(stream.WriterConfig{Stream: testStream}, f.b.Producer("w"), f.b)
	enc, err := wire.NewEncoder("0", "mysql", testStream)
	if err != nil {
		t.Fatal(err)
	}
	f.row = newRowWriter(f.w, enc, testStream)
	if _, err := f.w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// put commits one progress record with rows.
func (f *feed) put(p wire.Progress, op change.Op, t *change.Table, rows ...change.Row) {
	f.t.Helper()
	ctx := f.t.Context()
	if err := f.w.Begin(ctx); err != nil {
		f.t.Fatal(err)
	}
	p.SeqFrom = f.w.State().Seq() + 1
	p.SeqTo = p.SeqFrom
	for i, r := range rows {
		ev := change.Event{Table: t, Op: op, After: r, Seq: p.SeqFrom, Idx: i}
		if op == change.Delete {
			ev.Before, ev.After = r, nil
		}
		if _, err := f.row.write(ctx, &ev, 0); err != nil {
			f.t.Fatal(err)
		}
	}
	var meta []wire.MetaRecord
	for _, t := range p.Tables {
		r, err := wire.EncodeMeta(wire.MetaTablePrefix+t.ID.String(), f.w.State().Meta.Tables[t.ID.String()].Next(p.SeqFrom, t))
		if err != nil {
			f.t.Fatal(err)
		}
		meta = append(meta, r)
	}
	if _, err := f.w.Commit(ctx, p, meta); err != nil {
		f.t.Fatal(err)
	}
	for f.b.Marker(func(int) int { return 0 }) {
	}
}

// cover writes a whole cover of a table for a reader.
func (f *feed) cover(reader string, t *change.Table, heal bool, chunks ...[]change.Row) {
	f.t.Helper()
	f.ids++
	c := change.Cover{ID: string(rune('a' + f.ids)), Heal: heal, For: reader, Tables: []string{t.ID.String()}}
	f.put(wire.Progress{Kind: change.Begin, Cover: &c, Tables: []*change.Table{t}}, 0, nil)
	for _, rows := range chunks {
		part := c
		part.Tables, part.Table = nil, t.ID.String()
		f.put(wire.Progress{Kind: change.Chunk, Cover: &part}, change.Read, t, rows...)
	}
	f.put(wire.Progress{Kind: change.End, Cover: &c}, 0, nil)
}

func (f *feed) deliver(sink sinks.Sink, asks func(Ask), set func(*DeliverConfig), targets ...sinks.Target) *Deliver {
	cfg := DeliverConfig{Stream: testStream, Sink: "neptune", Targets: targets, IdleEvery: time.Hour,
		Batch: func() BatchLimits { return BatchLimits{MaxRows: 1} }}
	if set != nil {
		set(&cfg)
	}
	return NewDeliver(cfg, DeliverDeps{
		Sink: sink,
		Open: func(m change.Mark) *stream.Reader {
			return stream.NewReader(stream.ReaderConfig{Stream: testStream, Name: cfg.Sink}, f.b, m)
		},
		Meta:  func(ctx context.Context) (*wire.Meta, error) { return stream.ReadMeta(ctx, f.b, testStream) },
		Asker: askFunc(asks), Clock: WallClock{}, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
}

type askFunc func(Ask)

func (f askFunc) Ask(a Ask) { f(a) }

// counted counts what the stage asks of a destination.
type counted struct {
	sinks.Sink
	applied  []change.UnitKind
	prepared int
}

func (c *counted) Apply(ctx context.Context, b *change.Batch) error {
	c.applied = append(c.applied, b.Kind)
	return c.Sink.Apply(ctx, b)
}

func (c *counted) Prepare(ctx context.Context, name string, targets []sinks.Target) error {
	c.prepared++
	return c.Sink.Prepare(ctx, name, targets)
}

func testTable(name string) *change.Table {
	integer := change.Type{Kind: change.Int, Name: "int"}
	return &change.Table{ID: change.TableID{DB: "d", Name: name}, Columns: []change.Column{{Name: "id", Type: integer}, {Name: "n", Type: integer}}, Key: []int{0}}
}

func rowOf(id, n int64) change.Row { return change.Row{change.IntValue(id), change.IntValue(n)} }

func targetOf(t *change.Table) sinks.Target {
	return sinks.Target{From: t.ID.String(), Table: t, To: t.ID.Name}
}

// settle steps until the stage has read everything.
func settle(t *testing.T, d *Deliver, f *feed) {
	t.Helper()
	for d.in.Mark().Seq < f.w.State().Seq() {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A cover for one sink costs the others nothing: their destinations are asked for no statement by it.
func TestCoverForAnotherSink(t *testing.T) {
	tab := testTable("t")
	f := newFeed(t, tab)
	db := memory.NewDB()
	sink := &counted{Sink: memory.Open(db, memory.Options{Reader: "neptune"})}
	d := f.deliver(sink, func(Ask) { f.cover("neptune", tab, true, []change.Row{rowOf(1, 1), rowOf(2, 2)}) }, nil, targetOf(tab))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	if got := len(rowsOf(db, "t")); got != 2 {
		t.Fatalf("%d rows after the fill, want 2", got)
	}
	sink.applied = nil
	f.cover("mars", tab, true, []change.Row{rowOf(1, 1)}, []change.Row{rowOf(2, 2)})
	settle(t, d, f)
	if len(sink.applied) > 0 {
		t.Errorf("a cover for another sink was applied as %v", sink.applied)
	}
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(3, 3))
	settle(t, d, f)
	if !slices.Equal(sink.applied, []change.UnitKind{change.Changes}) {
		t.Errorf("applied %v, want the transaction alone", sink.applied)
	}
	at, err := sink.Applied(t.Context(), testStream)
	if err != nil || at.Seq != f.w.State().Seq() {
		t.Errorf("the destination stands at %v (%v), the stream at %d", at, err, f.w.State().Seq())
	}
}

// A table that appears in the stream becomes a target, and is filled by the cover that it came with; one that
// is not wanted does not.
func TestFollowNewTable(t *testing.T) {
	old, fresh, other := testTable("old"), testTable("fresh"), testTable("other")
	f := newFeed(t, old, fresh, other)
	db := memory.NewDB()
	sink := &counted{Sink: memory.Open(db, memory.Options{Reader: "neptune"})}
	follow := func(c *DeliverConfig) {
		c.Follow = func(t *change.Table) (sinks.Target, bool) { return targetOf(t), t.ID.Name != "other" }
	}
	d := f.deliver(sink, func(Ask) { f.cover("neptune", old, true, []change.Row{rowOf(1, 1)}) }, follow, targetOf(old))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.cover("", fresh, false, []change.Row{rowOf(7, 7)})
	f.cover("", other, false, []change.Row{rowOf(8, 8)})
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, fresh, rowOf(9, 9))
	settle(t, d, f)
	if got := rowsOf(db, "fresh"); len(got) != 2 {
		t.Errorf("the new table holds %v, want two rows", got)
	}
	if sink.prepared != 2 {
		t.Errorf("prepared %d times, want 2: at the start, and for the new table", sink.prepared)
	}
	if len(rowsOf(db, "old")) != 1 {
		t.Error("the table that was there lost its row")
	}
}

func rowsOf(db *memory.DB, table string) []memory.Row {
	return db.Snapshot().Rows[table]
}

// A destination that fell behind the retention is filled by a cover for it alone, which writes differences
// only.
func TestBehindRetention(t *testing.T) {
	tab := testTable("t")
	f := newFeed(t, tab)
	db := memory.NewDB()
	content := []change.Row{rowOf(1, 1), rowOf(2, 2), rowOf(3, 3)}
	var asked []Ask
	asks := func(a Ask) {
		asked = append(asked, a)
		f.cover("neptune", tab, true, content)
	}
	d := f.deliver(memory.Open(db, memory.Options{Reader: "neptune"}), asks, nil, targetOf(tab))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	before := map[string]int{}
	for _, r := range rowsOf(db, "t") {
		before[r.Row[0].String()] = r.Version
	}
	// It is down while the stream goes on and is trimmed.
	f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(4, 4))
	f.put(wire.Progress{Kind: change.Changes}, change.Delete, tab, rowOf(1, 1))
	content = []change.Row{rowOf(2, 2), rowOf(3, 3), rowOf(4, 4)}
	end := f.w.State().Mark.Offset + 1
	for range 3 { // behind it
		f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(4, 4))
	}
	err := f.b.Trim(t.Context(), []wire.Part{{Topic: stream.ProgressTopic(testStream), Next: end + 2}})
	if err != nil {
		t.Fatal(err)
	}
	asked = nil
	var lost []error
	tell := func(c *DeliverConfig) { c.Lost = func(why error) { lost = append(lost, why) } }
	d = f.deliver(memory.Open(db, memory.Options{Reader: "neptune"}), asks, tell, targetOf(tab))
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for len(asked) == 0 {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, d, f)
	if len(asked) != 1 || asked[0].Reader != "neptune" || !asked[0].Heal || !slices.Equal(asked[0].Tables, []string{"d.t"}) {
		t.Errorf("asked %+v, want one heal of d.t for neptune", asked)
	}
	if len(lost) != 1 || !strings.Contains(lost[0].Error(), stream.ProgressTopic(testStream)+"[0]") || !strings.Contains(lost[0].Error(), "retention") {
		t.Errorf("told %v, want the place and the way out, once", lost)
	}
	var got []string
	for _, r := range rowsOf(db, "t") {
		id := r.Row[0].String()
		got = append(got, id)
		if v, old := before[id]; old && v != r.Version {
			t.Errorf("row %s, which did not change, was written again", id)
		}
	}
	if !slices.Equal(got, []string{"2", "3", "4"}) {
		t.Errorf("rows %v, want 2, 3 and 4", got)
	}
}

// watchedLog tells when data is read.
type watchedLog struct {
	stream.Log
	read func(topic string)
}

func (l watchedLog) Read(ctx context.Context, wants []stream.Want, wait time.Duration) ([]stream.Fetched, error) {
	for _, w := range wants {
		l.read(w.Topic)
	}
	return l.Log.Read(ctx, wants, wait)
}

// slowSink waits in Apply until the test lets it go on.
type slowSink struct {
	counted
	wait func(kind change.UnitKind)
}

func (s *slowSink) Apply(ctx context.Context, b *change.Batch) error {
	s.wait(b.Kind)
	return s.counted.Apply(ctx, b)
}

// The next transactions are read while the destination takes the ones before; what does not fit into memory
// is applied all the same, and the destination is the same in the end.
func TestReadAhead(t *testing.T) {
	t.Run("in turn", func(t *testing.T) { testReadAhead(t, 0, false) })
	t.Run("too large", func(t *testing.T) { testReadAhead(t, 1, false) })
	t.Run("overlapping", func(t *testing.T) { testReadAhead(t, 1<<20, true) })
}

func testReadAhead(t *testing.T, ahead int, overlaps bool) {
	const n = 20
	tab := testTable("t")
	f := newFeed(t, tab)
	db := memory.NewDB()
	topic := stream.DataTopic(testStream, tab.ID)
	read := make(chan struct{}, 10*n) // a read of data each
	sink := &slowSink{counted: counted{Sink: memory.Open(db, memory.Options{Reader: "neptune"})}, wait: func(change.UnitKind) {}}
	d := f.deliver(sink, func(Ask) { f.cover("neptune", tab, true) }, func(c *DeliverConfig) { c.Ahead = ahead }, targetOf(tab))
	d.d.Open = func(m change.Mark) *stream.Reader {
		log := watchedLog{f.b, func(got string) {
			if got == topic {
				read <- struct{}{}
			}
		}}
		// Nothing is kept of what a read brings, so that each batch is a read of its own.
		return stream.NewReader(stream.ReaderConfig{Stream: testStream, Name: "neptune", Memory: 1}, log, m)
	}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, d, f)
	for i := range int64(n) {
		f.put(wire.Progress{Kind: change.Changes}, change.Insert, tab, rowOf(i, i), rowOf(100+i, i))
	}
	applied, reads := 0, 0
	sink.wait = func(change.UnitKind) {
		applied++
		for overlaps && applied < n && reads <= applied { // the next batch's read has begun
			select {
			case <-read:
				reads++
			case <-time.After(10 * time.Second):
				t.Fatalf("nothing is read while the destination takes batch %d", applied)
			}
		}
		for !overlaps && len(read) > 0 {
			<-read
			reads++
		}
		if ahead == 0 && reads > applied {
			t.Errorf("%d reads of data before batch %d is applied: the test cannot tell what overlaps", reads, applied)
		}
	}
	for at := (change.Mark{}); at.Seq < f.w.State().Seq(); {
		if err := d.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if at, err = sink.Applied(t.Context(), testStream); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(rowsOf(db, "t")); got != 2*n || applied != n {
		t.Errorf("%d rows in %d batches, want %d in %d", got, applied, 2*n, n)
	}
}
