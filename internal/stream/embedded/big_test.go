package embedded_test

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

// A batch may be larger than memory: it is written, and read, as it comes. The full form (CDC_TEST_FULL=1)
// has two million rows.
func TestBigBatch(t *testing.T) {
	rows := 300_000
	if os.Getenv("CDC_TEST_FULL") != "" {
		rows = 2_000_000
	}
	b := open(t, embedded.Config{})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	ensure(t, b.Client())
	w := writer(t, b.Client())
	first, err := batch(t.Context(), w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	peak, stop := watchHeap()
	began := time.Now()
	if _, err := batch(t.Context(), w, change.Changes, 1, rows); err != nil {
		t.Fatal(err)
	}
	wrote := time.Since(began)
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), first)
	rec, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rec.Rows != int64(rows) {
		t.Errorf("%d rows are announced of %d", rec.Rows, rows)
	}
	began = time.Now()
	if err := verify(t.Context(), rec, rows); err != nil {
		t.Fatal(err)
	}
	stop()
	t.Logf("%d rows in one batch: written in %s, read in %s, peak heap %d MiB", rows, wrote.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), peak.Load()>>20)
	// Keys and values alone take 30 bytes a row, headers and slices five times as much.
	if n := peak.Load(); n > 256<<20 {
		t.Errorf("the heap grew to %d MiB", n>>20)
	}
}

// watchHeap notes the largest heap until stop is called.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	peak = new(atomic.Uint64)
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
			}
		}
	}()
	return peak, func() { close(end); <-done }
}
