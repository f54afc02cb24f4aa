package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/memlog"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// world is one stream "s" with the topics s.a and s.b over a broker in memory.
type world struct {
	t   *testing.T
	b   *memlog.Broker
	now time.Time
	ids int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, b: memlog.New(), now: time.UnixMicro(1_000_000)}
	w.b.CreateTopic("s.a", 4)
	w.b.CreateTopic("s.b", 2)
	w.b.CreateTopic("s.progress", 1)
	w.b.CreateTopic("s.meta", 1)
	return w
}

func (w *world) id() string { w.ids++; return fmt.Sprintf("id%d", w.ids) }

func (w *world) writer(process string, rules stream.Rules) *stream.Writer {
	cfg := stream.WriterConfig{Stream: "s", Process: process, Now: func() time.Time { return w.now }, NewID: w.id, Rules: rules, RewriteEvery: 50}
	return stream.NewWriter(cfg, w.b.Producer(rules.TransactionalID("cdc.s.capture", process)), w.b)
}

func (w *world) started(process string) *stream.Writer {
	w.t.Helper()
	wr := w.writer(process, 0)
	if _, err := wr.Start(w.t.Context()); err != nil {
		w.t.Fatalf("start: %v", err)
	}
	return wr
}

func (w *world) reader(m change.Mark, change ...func(*stream.ReaderConfig)) *stream.Reader {
	cfg := stream.ReaderConfig{Stream: "s", Name: "neptune", Now: func() time.Time { return w.now }}
	for _, c := range change {
		c(&cfg)
	}
	return stream.NewReader(cfg, w.b, m)
}

// markers ends everything that is committed or aborted.
func (w *world) markers() {
	for w.b.Marker(func(int) int { return 0 }) {
	}
}

// begin writes a heal's begin over a and b.
func (w *world) begin(wr *stream.Writer, forWhom string) change.Mark {
	return w.commit(wr, wire.Progress{Kind: change.Begin, Cover: &change.Cover{ID: "c1", Heal: true, For: forWhom, Tables: []string{"a", "b"}}}, 0)
}

// changes writes one batch of units with rows rows each.
func (w *world) changes(wr *stream.Writer, units, rows int) change.Mark {
	return w.commit(wr, wire.Progress{Kind: change.Changes, SeqTo: wr.State().Seq() + change.Seq(units)}, rows)
}

func (w *world) commit(wr *stream.Writer, p wire.Progress, rows int, meta ...wire.MetaRecord) change.Mark {
	w.t.Helper()
	m, err := w.tryCommit(wr, p, rows, meta...)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) tryCommit(wr *stream.Writer, p wire.Progress, rows int, meta ...wire.MetaRecord) (change.Mark, error) {
	ctx := w.t.Context()
	if err := wr.Begin(ctx); err != nil {
		return change.Mark{}, err
	}
	p.SeqFrom = wr.State().Seq() + 1
	if p.SeqTo == 0 {
		p.SeqTo = p.SeqFrom
	}
	for s := p.SeqFrom; s <= p.SeqTo; s++ {
		for i := range rows {
			topic, key := "s.a", fmt.Sprintf("k%d", i%7)
			if i%3 == 1 {
				topic = "s.b"
			}
			r := stream.Row{Topic: topic, Key: []byte(key), Value: fmt.Appendf(nil, "%d/%d", s, i), Seq: s, Idx: uint64(i)}
			if err := wr.Append(ctx, r); err != nil {
				return change.Mark{}, err
			}
			if i%5 == 4 {
				r.Value = nil
				if err := wr.Append(ctx, r); err != nil {
					return change.Mark{}, err
				}
			}
		}
	}
	return wr.Commit(ctx, p, meta)
}

// drain reads everything there is and checks order and completeness.
func (w *world) drain(r *stream.Reader) ([]*stream.Record, error) {
	var out []*stream.Record
	for {
		rec, err := r.TryNext(w.t.Context())
		if err != nil || rec == nil {
			return out, err
		}
		if err := w.check(rec); err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

func (w *world) check(rec *stream.Record) error {
	var rows, all int64
	last := stream.Data{}
	for d, err := range rec.Open(w.t.Context()) {
		if err != nil {
			return err
		}
		if d.Seq < last.Seq || d.Seq == last.Seq && d.Idx < last.Idx {
			w.t.Errorf("%d/%d after %d/%d", d.Seq, d.Idx, last.Seq, last.Idx)
		}
		if want := fmt.Sprintf("%d/%d", d.Seq, d.Idx); d.Value != nil && string(d.Value) != want {
			w.t.Errorf("value %q at %s", d.Value, want)
		}
		if d.Value == nil && (last.Seq != d.Seq || last.Idx != d.Idx) {
			w.t.Errorf("a tombstone at %d/%d does not follow its delete", d.Seq, d.Idx)
		}
		all++
		if d.Value != nil {
			rows++
		}
		last = d
	}
	if rows != rec.Rows || all != rec.Records {
		w.t.Errorf("unit %d: read %d rows and %d records, announced %d and %d", rec.Progress.SeqTo, rows, all, rec.Rows, rec.Records)
	}
	return nil
}

func TestWriteAndRead(t *testing.T) {
	w := newWorld(t)
	wr := w.writer("p1", 0)
	st, err := wr.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !st.Fresh || st.Incarnation != 1_000_000 || st.Seq() != 1_000_000 {
		t.Fatalf("an empty stream starts as %+v", st)
	}
	if _, err := w.tryCommit(wr, wire.Progress{Kind: change.Changes}, 1); err == nil {
		t.Error("changes before the first begin were taken")
	}
	if err := wr.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := w.begin(wr, "")
	w.changes(wr, 1, 10)
	w.changes(wr, 3, 40)
	w.commit(wr, wire.Progress{Kind: change.Idle, SeqTo: wr.State().Seq()}, 0)
	end := w.changes(wr, 1, 1)
	recs, err := w.drain(w.reader(first))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, r := range recs {
		kinds = append(kinds, fmt.Sprint(r.Progress.Kind, r.Rows))
	}
	if d := cmp.Diff([]string{"changes 10", "changes 120", "idle 0", "changes 1"}, kinds); d != "" {
		t.Error(d)
	}
	if recs[3].Mark != end || wr.State().Mark != end {
		t.Errorf("the reader ends at %v, the writer at %v", recs[3].Mark, wr.State().Mark)
	}
	// A record can be opened again, also after later ones.
	if err := w.check(recs[1]); err != nil {
		t.Error(err)
	}
}

func TestStartGoesOn(t *testing.T) {
	w := newWorld(t)
	wr := w.started("p1")
	w.begin(wr, "")
	for range 80 { // several rewritings of meta
		tv, err := wire.EncodeMeta(wire.MetaTablePrefix+"a", &wire.TableVersion{V: 1, From: wr.State().Seq(), Table: &change.Table{ID: change.TableID{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		w.commit(wr, wire.Progress{Kind: change.Changes, Position: change.Position{GTID: "x:1"}}, 2, tv)
	}
	want := wr.State()
	if wr.MetaFloor() == 0 {
		t.Error("meta was never rewritten")
	}
	if err := w.b.Trim(t.Context(), []wire.Part{{Topic: "s.meta", Next: wr.MetaFloor()}}); err != nil {
		t.Fatal(err)
	}
	st, err := w.writer("p2", 0).Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Fresh || st.Mark != want.Mark || st.Position().GTID != "x:1" || st.Meta.Tables["a"].From != want.Meta.Tables["a"].From {
		t.Errorf("found %+v, left %+v", st, want)
	}
	// After a long stop the progress topic may be empty.
	b, err := w.b.Bounds(t.Context(), []wire.Part{{Topic: "s.progress"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.b.Trim(t.Context(), []wire.Part{{Topic: "s.progress", Next: b[0].End}}); err != nil {
		t.Fatal(err)
	}
	wr = w.writer("p3", 0)
	if st, err = wr.Start(t.Context()); err != nil || st.Fresh || st.Mark != want.Mark {
		t.Errorf("with an empty progress topic: %+v, %v", st, err)
	}
	w.changes(wr, 1, 3)
	if recs, err := w.drain(w.reader(want.Mark)); err != nil || len(recs) != 1 {
		t.Errorf("a reader at meta's newest gets %d records, %v", len(recs), err)
	}
}

func TestFencing(t *testing.T) {
	w := newWorld(t)
	a := w.started("a")
	w.begin(a, "")
	b := w.started("b")
	if _, err := w.tryCommit(a, wire.Progress{Kind: change.Changes}, 1); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("the fenced writer got %v", err)
	}
	w.changes(b, 1, 1)
	if _, err := a.Start(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the fenced writer started again: %v", err)
	}
}

func TestUnknownOutcome(t *testing.T) {
	for _, at := range []string{"end", "end.done", "produce", "produce.done", "flush"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			wr := w.started("a")
			first := w.begin(wr, "")
			calls := 0
			w.b.OnCall = func(_ context.Context, call string) error {
				w.b.Marker(func(int) int { return 0 })
				if calls++; call == at && calls > 3 {
					return errors.New("connection lost")
				}
				return nil
			}
			_, err := w.tryCommit(wr, wire.Progress{Kind: change.Changes}, 5)
			if err == nil {
				t.Fatal("no error")
			}
			if (at == "end" || at == "end.done") != errors.Is(err, stream.ErrUnknownOutcome) {
				t.Errorf("got %v", err)
			}
			w.b.OnCall = nil
			st, err := wr.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if committed := st.Mark != first; committed != (at == "end.done") {
				t.Errorf("committed: %v", committed)
			}
			w.changes(wr, 1, 5)
			if _, err := w.drain(w.reader(first)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIncarnation(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	tv, err := wire.EncodeMeta(wire.MetaTablePrefix+"a", &wire.TableVersion{V: 1, From: 7, Table: &change.Table{ID: change.TableID{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	first := w.commit(wr, wire.Progress{Kind: change.Begin, Cover: &change.Cover{ID: "c1", Heal: true, Tables: []string{"a", "b"}}}, 0, tv)
	w.changes(wr, 1, 5)
	old := wr.State().Mark
	w.b.Sync()
	w.changes(wr, 1, 40)
	w.b.PowerCut(func(n int) int { w.ids++; return w.ids % n }, true, 2) // some partitions lose the last transaction
	w.now = w.now.Add(-time.Hour)                                        // and the clock was set back
	nw := w.writer("b", 0)
	st, err := nw.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !st.Fresh || st.Why == "" || st.Incarnation <= old.Incarnation || st.Seq() <= old.Seq || len(st.Meta.Tables) != 0 {
		t.Fatalf("a cut stream starts as %+v", st)
	}
	since, err := w.reader(old).EndOffset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.begin(nw, "neptune")
	w.changes(nw, 1, 3)
	r := w.reader(first)
	_, err = w.drain(r)
	if g := new(stream.GoneError); !errors.As(err, &g) || g.Reason == "" || !errors.Is(err, stream.ErrGone) {
		t.Fatalf("the reader of the old incarnation got %v", err)
	}
	if b, _, err := r.FindBegin(t.Context(), since, []string{"a", "c"}, old.Seq); b != nil || err != nil {
		t.Errorf("a begin without table c was taken: %+v %v", b, err)
	}
	if b, _, err := r.FindBegin(t.Context(), since, []string{"a"}, st.Seq()+1); b != nil || err != nil {
		t.Errorf("a begin below the floor was taken: %+v %v", b, err)
	}
	b, _, err := r.FindBegin(t.Context(), since, []string{"a", "b"}, old.Seq)
	if err != nil || b == nil {
		t.Fatalf("no begin found: %v", err)
	}
	r.Adopt(b)
	if recs, err := w.drain(r); err != nil || len(recs) != 2 || recs[0].Progress.Kind != change.Begin {
		t.Errorf("after adopting: %d records, %v", len(recs), err)
	}
	// The meta keys of the old incarnation are gone.
	if st, err = w.writer("c", 0).Start(t.Context()); err != nil || st.Fresh || len(st.Meta.Tables) != 0 {
		t.Errorf("after the new incarnation: %+v, %v", st, err)
	}
}

// A begin from before the asking began is not taken.
func TestOldBegin(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	first := w.begin(wr, "")
	w.changes(wr, 1, 1)
	old, err := stream.Without("adopt-old-begin")
	if err != nil {
		t.Fatal(err)
	}
	for rules, found := range map[stream.Rules]bool{0: false, old: true} {
		r := w.reader(first, func(c *stream.ReaderConfig) { c.Rules = rules })
		since, err := r.EndOffset(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, from, err := r.FindBegin(t.Context(), since, []string{"a"}, 0)
		if err != nil || (b != nil) != found || rules == 0 && from < since {
			t.Errorf("rules %b: found %+v, %v; next from %d", rules, b, err, from)
		}
	}
}

func TestCoverForAnother(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	first := w.begin(wr, "")
	w.commit(wr, wire.Progress{Kind: change.Chunk, Cover: &change.Cover{ID: "c1", For: "mars", Table: "a"}}, 9)
	w.markers()
	reads := 0
	w.b.OnCall = func(_ context.Context, call string) error {
		if call == "read" {
			reads++
		}
		return nil
	}
	recs, err := w.drain(w.reader(first))
	if err != nil || len(recs) != 1 || !recs[0].Skipped || recs[0].Records != 0 {
		t.Errorf("got %+v, %v", recs, err)
	}
	if reads > 3 {
		t.Errorf("a skipped record cost %d reads", reads)
	}
}

// A progress record that was read before its log lost its tail is not joined with the rows that stand there
// afterwards, though they have its offsets, its Seq and its number.
func TestRefilled(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	first := w.begin(wr, "")
	w.markers()
	w.b.Sync()
	lost := w.changes(wr, 1, 3)
	w.markers()
	r := w.reader(first)
	rec, err := r.TryNext(t.Context())
	if err != nil || rec == nil || rec.Mark != lost {
		t.Fatalf("read %+v, %v before the cut", rec, err)
	}
	w.b.PowerCut(func(int) int { return 1 }, false, 2) // the last transaction
	st, err := wr.Start(t.Context())
	if err != nil || st.Mark != first {
		t.Fatalf("after the cut the stream stands at %+v, %v", st, err)
	}
	now := w.changes(wr, 1, 3)
	w.markers()
	if now.Offset != lost.Offset || now.Seq != lost.Seq || now.ID == lost.ID {
		t.Fatalf("the log is filled again up to %v, it was lost at %v", now, lost)
	}
	for d, err := range rec.Open(t.Context()) {
		if err == nil {
			t.Fatalf("row %d.%d of another batch was read", d.Seq, d.Idx)
		}
		if !errors.Is(err, stream.ErrGone) {
			t.Fatal(err)
		}
	}
	if recs, err := w.drain(w.reader(first)); err != nil || len(recs) != 1 || recs[0].Mark != now {
		t.Errorf("a reader that comes now gets %+v, %v", recs, err)
	}
}

func TestMarkers(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	first := w.begin(wr, "")
	w.markers()
	var alarms []stream.Stalled
	r := w.reader(first, func(c *stream.ReaderConfig) { c.OnStalled = func(s stream.Stalled) { alarms = append(alarms, s) } })
	w.b.OnCall = func(context.Context, string) error { return nil } // markers move by hand from here on
	w.changes(wr, 1, 40)
	if rec, err := r.TryNext(t.Context()); rec != nil || err != nil {
		t.Fatalf("before any marker: %+v, %v", rec, err)
	}
	// Progress is the last partition but one to be written to: choose it first.
	w.b.Marker(func(n int) int { return n - 2 })
	rec, err := r.TryNext(t.Context())
	if err != nil || rec == nil {
		t.Fatalf("after the marker of progress: %+v, %v", rec, err)
	}
	w.b.OnCall = func(_ context.Context, call string) error {
		w.now = w.now.Add(11 * time.Second)
		if len(alarms) > 0 {
			w.b.Marker(func(int) int { return 0 })
		}
		return nil
	}
	if err := w.check(rec); err != nil {
		t.Fatal(err)
	}
	if len(alarms) == 0 || alarms[0].For < 30*time.Second {
		t.Errorf("alarms: %v", alarms)
	}
}

func TestTooLarge(t *testing.T) {
	w := newWorld(t)
	wr := w.started("a")
	w.begin(wr, "")
	if err := wr.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := wr.Append(t.Context(), stream.Row{Topic: "s.a", Key: []byte("k"), Value: make([]byte, 64<<20), Seq: wr.State().Seq() + 1})
	if tl := new(stream.TooLargeError); !errors.As(err, &tl) || tl.Topic != "s.a" {
		t.Fatalf("got %v", err)
	}
	p := wire.Progress{Kind: change.Changes, SeqFrom: wr.State().Seq() + 1, SeqTo: wr.State().Seq() + 1}
	if _, err := wr.Commit(t.Context(), p, nil); err != nil {
		t.Errorf("the batch cannot go on without the record: %v", err)
	}
}
