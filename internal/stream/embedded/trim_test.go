package embedded_test

import (
	"errors"
	"testing"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestTrim(t *testing.T) {
	b := open(t, embedded.Config{MaxBatches: 12_000})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	ensure(t, b.Client())
	w := writer(t, b.Client())
	first, err := batch(ctx, w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	slow, fast := first, first // durable Marks of two readers
	running := []*change.Mark{&slow, &fast}
	marks := func() (out []change.Mark) {
		for _, m := range running {
			out = append(out, *m)
		}
		return out
	}
	if err := b.Keep(embedded.Stream{Name: "s", Marks: marks, MetaFloor: w.MetaFloor}); err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		t.Helper()
		for range n {
			if fast, err = batch(ctx, w, change.Changes, 1, 3); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Tend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(m change.Mark) error {
		r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), m)
		for {
			rec, err := r.TryNext(ctx)
			if rec == nil || err != nil {
				return err
			}
			if err := verify(ctx, rec, 3); err != nil {
				return err
			}
		}
	}
	// A batch is three tables, progress and meta, each with its marker: ten stored batches.
	write(900)
	if f := b.Fill(); f < 0.7 || f > 0.8 {
		t.Errorf("fill is %.2f with 900 batches of 1200 unread", f)
	}
	if err := reads(slow); err != nil {
		t.Errorf("below the ceiling the slow reader lost: %v", err)
	}
	write(500)
	if err := reads(slow); !errors.Is(err, stream.ErrGone) {
		t.Errorf("at the ceiling the slow reader got %v", err)
	}
	// It is down, and not waited for any more; what the other one has read goes at half of the ceiling.
	running = running[1:]
	write(1)
	if f := b.Fill(); f > 0.3 {
		t.Errorf("fill is %.2f though all is read", f)
	}
	if err := reads(fast); err != nil {
		t.Errorf("the fast reader lost: %v", err)
	}
	log := newLog(t, b.Client())
	before, err := log.Bounds(ctx, w.State().Newest.Parts)
	if err != nil {
		t.Fatal(err)
	}
	write(300)
	after, err := log.Bounds(ctx, w.State().Newest.Parts)
	if err != nil {
		t.Fatal(err)
	}
	if after[0].Start <= before[0].Start || after[0].Start == 0 {
		t.Errorf("the log began at %d, now at %d", before[0].Start, after[0].Start)
	}
	if err := reads(fast); err != nil {
		t.Errorf("the fast reader lost: %v", err)
	}
}

// The ceiling in bytes holds as well, with large rows.
func TestTrimBytes(t *testing.T) {
	const most = 4 << 20
	b := open(t, embedded.Config{MaxBytes: most})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ensure(t, b.Client())
	w := writer(t, b.Client())
	m, err := batch(t.Context(), w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Keep(embedded.Stream{Name: "s", Marks: func() []change.Mark { return []change.Mark{m} }, MetaFloor: w.MetaFloor}); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if _, err := batch(t.Context(), w, change.Changes, 1, 30_000); err != nil {
			t.Fatal(err)
		}
		if err := b.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.DiskBytes(); n > most*5/4 {
			t.Fatalf("the folder holds %d bytes of %d", n, most)
		}
	}
	if b.Fill() < 0.3 {
		t.Errorf("fill is %.2f with nothing read", b.Fill())
	}
	if b.DiskBytes() < most/4 {
		t.Errorf("the folder holds %d bytes: nothing was written", b.DiskBytes())
	}
}
