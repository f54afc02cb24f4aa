package embedded_test

import (
	"context"
	"testing"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestCloseUnderLoad: a broker that is closed in the middle of what it is asked to do has, when it is opened again,
// everything that a reader has seen committed and that a writer was told is: a commit in flight is there or it is not.
func TestCloseUnderLoad(t *testing.T) {
	dir := t.TempDir()
	var first, seen change.Mark
	for round := range 8 {
		b := open(t, embedded.Config{Dir: dir})
		if round == 0 {
			ensure(t, b.Client())
		}
		w := writer(t, b.Client())
		if round == 0 {
			m, err := batch(t.Context(), w, change.Begin, 1, 0)
			if err != nil {
				t.Fatal(err)
			}
			first, seen = m, m
		}
		if st := w.State(); st.Fresh || st.Mark.Seq < seen.Seq {
			t.Fatalf("round %d: the writer starts at unit %d (%s), a reader has seen %d", round, st.Mark.Seq, st.Why, seen.Seq)
		}
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan change.Mark, 1)
		go func() { // commits until the broker is gone
			last := w.State().Mark
			for {
				m, err := batch(ctx, w, change.Changes, 1, 12)
				if err != nil {
					told <- last
					return
				}
				last = m
			}
		}()
		r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), seen)
		enough, read := make(chan struct{}), make(chan error, 1)
		go func() { // reads behind it, until the broker is gone
			for n := 1; ; n++ {
				rec, err := r.Next(ctx)
				if err != nil {
					read <- err
					return
				}
				if err := verify(ctx, rec, 12); err != nil && ctx.Err() == nil {
					read <- err
					return
				}
				if n == 20+3*round {
					close(enough)
				}
			}
		}()
		select {
		case <-enough:
		case err := <-read:
			t.Fatalf("round %d: read: %v", round, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		cancel()
		last := <-told
		<-read
		if seen = r.Mark(); seen.Seq < last.Seq {
			seen = last
		}
	}
	b := open(t, embedded.Config{Dir: dir})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := writer(t, b.Client())
	if w.State().Mark.Seq < seen.Seq {
		t.Fatalf("the writer starts at unit %d, a reader has seen %d", w.State().Mark.Seq, seen.Seq)
	}
	end := w.State().Mark
	all := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), first)
	met := false
	for all.Mark().Seq < end.Seq {
		rec, err := all.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		met = met || rec.Mark == seen
	}
	if !met {
		t.Errorf("the record %v that was seen last is not in the stream", seen)
	}
}
