package verify

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// world is a source and a destination whose log is a counter: the destination is moved by Shown.
type world struct {
	source, dest map[int64]string
	place        uint64 // of the source
	shown        uint64 // by the destination
	held         map[string]bool
	// tick is called before each read of the source.
	tick func(w *world)
	// catchUp is called when the destination is asked what it shows.
	catchUp func(w *world)
	reads   int
}

var shape = &change.Table{
	ID: change.TableID{Name: "v"}, Key: []int{0},
	Columns: []change.Column{{Name: "id", Type: change.Type{Kind: change.Int}}, {Name: "text", Type: change.Type{Kind: change.String}}},
}

func in(m map[int64]string, r change.KeyRange) []change.Row {
	var out []change.Row
	for k, v := range m {
		if r.Contains(change.KeyOf(change.IntValue(k))) {
			out = append(out, change.Row{change.IntValue(k), change.StringValue(v)})
		}
	}
	return out
}

func (w *world) PlanQuery(_ context.Context, _ snapshot.Query, from change.KeyRange, limit int) (change.KeyRange, error) {
	lo := int64(0)
	if from.HasLo {
		row, err := change.DecodeKey(from.Lo, shape.KeyTypes())
		if err != nil {
			return from, err
		}
		lo = row[0].Int()
	}
	if hi := lo + int64(limit); hi < 10 {
		from.HasHi, from.Hi = true, change.KeyOf(change.IntValue(hi))
	}
	return from, nil
}

func (w *world) ReadQuery(_ context.Context, _ snapshot.Query, r change.KeyRange) (snapshot.Chunk, error) {
	w.reads++
	if w.tick != nil {
		w.tick(w)
	}
	return snapshot.Chunk{Rows: in(w.source, r), High: change.Position{Offset: w.place}}, nil
}

func (w *world) Range(_ context.Context, _ string, _ sinks.Target, r change.KeyRange) ([]change.Row, change.Position, error) {
	return in(w.dest, r), change.Position{Offset: w.shown}, nil
}

func (w *world) Shown(context.Context, string, string) (change.Position, error) {
	if w.catchUp != nil {
		w.catchUp(w)
	}
	return change.Position{Offset: w.shown, File: "log.1"}, nil
}

func (w *world) Quarantined(context.Context, string, string) (map[string]bool, error) {
	return w.held, nil
}

func (w *world) Contains(have, want change.Position) (bool, error) {
	return have.Offset >= want.Offset, nil
}

func (w *world) run(t *testing.T, change func(*Config)) Result {
	t.Helper()
	cfg := Config{Target: sinks.Target{From: "v", Table: shape}, ChunkRows: 3, Attempts: 5,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	if change != nil {
		change(&cfg)
	}
	res, err := Run(t.Context(), cfg, w, w, w)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func rowsOf(n int) map[int64]string {
	m := map[int64]string{}
	for i := range n {
		m[int64(i)] = fmt.Sprint("row ", i)
	}
	return m
}

func (r Result) counts() [4]int { return [4]int{r.Rows, r.Different, r.Unsettled, r.Quarantined} }

func TestEqual(t *testing.T) {
	a := &world{source: rowsOf(10), dest: rowsOf(10)}
	got := a.run(t, nil)
	if got.counts() != [4]int{10, 0, 0, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v", got.counts())
	}
	if a.reads != 4 {
		t.Errorf("%d reads of the source, want one for each of 4 ranges", a.reads)
	}
	other := &world{source: rowsOf(10), dest: rowsOf(10)}
	other.source[3], other.dest[3] = "x", "x"
	if d := other.run(t, nil).Digest; d == got.Digest || d == "" {
		t.Errorf("digest %q does not tell different rows apart", d)
	}
	if d := a.run(t, func(c *Config) { c.ChunkRows = 7 }).Digest; d != got.Digest {
		t.Error("the digest depends on the ranges")
	}
}

func TestDifferences(t *testing.T) {
	w := &world{source: rowsOf(10), dest: rowsOf(10)}
	delete(w.dest, 0)      // missing, in the first range
	w.dest[4] = "wrong"    // other value
	w.dest[-7] = "phantom" // below the first key
	w.dest[99] = "phantom" // above the last
	got := w.run(t, nil)
	if got.counts() != [4]int{10, 4, 0, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
	for _, d := range got.Differences {
		switch id := d.Key[0].Int(); {
		case id == 0 && d.Destination == nil && d.Source != nil, id == 4 && d.Destination != nil && d.Source != nil,
			(id == -7 || id == 99) && d.Source == nil && d.Destination != nil:
		default:
			t.Errorf("difference %+v", d)
		}
	}
}

func TestQuarantined(t *testing.T) {
	w := &world{source: rowsOf(10), dest: rowsOf(10), held: map[string]bool{"[5]": true}}
	delete(w.dest, 5)
	if got := w.run(t, nil); got.counts() != [4]int{10, 0, 0, 1} {
		t.Errorf("rows, different, unsettled, quarantined: %v", got.counts())
	}
}

// TestLate: a destination that is behind is waited for, and is then equal.
func TestLate(t *testing.T) {
	w := &world{source: rowsOf(10), dest: rowsOf(5), place: 7}
	w.catchUp = func(w *world) {
		w.shown++
		if w.shown == 7 {
			w.dest = rowsOf(10)
		}
	}
	if got := w.run(t, nil); got.counts() != [4]int{10, 0, 0, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
}

// TestNeverStill: a row that is another at each look is unsettled, never equal and never different.
func TestNeverStill(t *testing.T) {
	w := &world{source: rowsOf(3), dest: rowsOf(3)}
	n := 0
	w.tick = func(w *world) {
		n++
		w.place++
		w.source[1] = fmt.Sprint("version ", n)
	}
	w.catchUp = func(w *world) { w.shown = w.place }
	got := w.run(t, nil)
	if got.counts() != [4]int{3, 0, 1, 0} || !got.Differences[0].Unsettled {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
}

// TestMovesOnce: a row that changed between the first two looks is settled by the third.
func TestMovesOnce(t *testing.T) {
	w := &world{source: rowsOf(3), dest: rowsOf(3)}
	w.tick = func(w *world) {
		if w.reads == 1 {
			w.source[1] = "new"
		}
	}
	w.catchUp = func(w *world) { w.dest[1] = "new" }
	if got := w.run(t, nil); got.counts() != [4]int{3, 0, 0, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
}

// TestTimeout: when the time is up before the destination is there, rows are unsettled.
func TestTimeout(t *testing.T) {
	w := &world{source: rowsOf(3), dest: rowsOf(2), place: 7}
	got := w.run(t, func(c *Config) {
		c.Wait = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
	})
	if got.counts() != [4]int{3, 0, 1, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
}

func TestKeys(t *testing.T) {
	w := &world{source: rowsOf(10), dest: rowsOf(10)}
	w.dest[0], w.dest[9] = "wrong", "wrong"
	got := w.run(t, func(c *Config) {
		c.Keys = change.KeyRange{HasLo: true, Lo: change.KeyOf(change.IntValue(2)), HasHi: true, Hi: change.KeyOf(change.IntValue(5))}
	})
	if got.counts() != [4]int{3, 0, 0, 0} {
		t.Errorf("rows, different, unsettled, quarantined: %v; %v", got.counts(), got.Differences)
	}
}

// TestKeyTwice: a key that names two rows is an error, not a row that is compared by chance.
func TestKeyTwice(t *testing.T) {
	w := &world{source: rowsOf(2), dest: rowsOf(2)}
	twice := &doubled{w}
	_, err := Run(t.Context(), Config{Target: sinks.Target{From: "v", Table: shape}, ChunkRows: 100}, twice, w, w)
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type doubled struct{ *world }

func (d *doubled) ReadQuery(ctx context.Context, q snapshot.Query, r change.KeyRange) (snapshot.Chunk, error) {
	c, err := d.world.ReadQuery(ctx, q, r)
	c.Rows = append(c.Rows, c.Rows...)
	return c, err
}

// digesting is a world whose destination computes digests.
type digesting struct {
	*world
	asked, ranges int
}

func (d *digesting) Digest(_ context.Context, _ string, _ sinks.Target, r change.KeyRange) (sum sinks.Digest, at change.Position, err error) {
	d.asked++
	for _, row := range in(d.dest, r) {
		sum.Add(row)
	}
	return sum, change.Position{Offset: d.shown}, nil
}

func (d *digesting) Range(ctx context.Context, stream string, t sinks.Target, r change.KeyRange) ([]change.Row, change.Position, error) {
	d.ranges++
	return d.world.Range(ctx, stream, t, r)
}

// TestDigests: ranges whose digests are equal are not read at the destination, of the others every row is compared.
func TestDigests(t *testing.T) {
	d := &digesting{world: &world{source: rowsOf(10), dest: rowsOf(10), place: 7, shown: 7}}
	cfg := Config{Target: sinks.Target{From: "v", Table: shape}, ChunkRows: 3, Attempts: 5,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	got, err := Run(t.Context(), cfg, d, d, d)
	if err != nil || got.counts() != [4]int{10, 0, 0, 0} || d.asked != 4 || d.ranges != 0 || got.At.Offset != 7 {
		t.Errorf("%v at %v, error %v, %d digests and %d ranges read, want 4 and none", got.counts(), got.At, err, d.asked, d.ranges)
	}
	whole := (&world{source: rowsOf(10), dest: rowsOf(10)}).run(t, nil)
	if got.Digest != whole.Digest {
		t.Errorf("digest %s, want %s as of rows that are read", got.Digest, whole.Digest)
	}
	d.dest[4] = "another"
	delete(d.dest, 5)
	d.asked = 0
	if got, err = Run(t.Context(), cfg, d, d, d); err != nil || got.counts() != [4]int{10, 2, 0, 0} || d.asked != 4 || d.ranges == 0 {
		t.Errorf("%v, error %v, %d digests and %d ranges read, want two differences", got.counts(), err, d.asked, d.ranges)
	}
}
