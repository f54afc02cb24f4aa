package embedded_test

import (
	"testing"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

// BenchmarkCommit is one small batch: a transaction over three topics, progress and meta.
func BenchmarkCommit(b *testing.B) {
	for name, sync := range map[string]bool{"cached": false, "synced": true} {
		b.Run(name, func(b *testing.B) {
			br := open(b, embedded.Config{SyncWrites: sync})
			ensure(b, br.Client())
			w := writer(b, br.Client())
			if _, err := batch(b.Context(), w, change.Begin, 1, 0); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := batch(b.Context(), w, change.Changes, 1, 6); err != nil {
					b.Fatal(err)
				}
			}
			if err := br.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkRows writes and reads rows in batches of ten thousand.
func BenchmarkRows(b *testing.B) {
	br := open(b, embedded.Config{})
	ensure(b, br.Client())
	w := writer(b, br.Client())
	first, err := batch(b.Context(), w, change.Begin, 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	const rows = 10_000
	n := 0
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if _, err := batch(b.Context(), w, change.Changes, 1, rows); err != nil {
				b.Fatal(err)
			}
			n++
		}
		b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("read", func(b *testing.B) {
		got := 0
		for b.Loop() {
			r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(b, br.Client()), first)
			for range min(n, 20) {
				rec, err := r.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for _, err := range rec.Open(b.Context()) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
			}
		}
		b.ReportMetric(float64(got)/b.Elapsed().Seconds(), "rows/s")
	})
	if err := br.Close(); err != nil {
		b.Fatal(err)
	}
}
