package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// tables of the stream "s".
var tables = []change.TableID{{DB: "db", Name: "a"}, {DB: "db", Name: "b"}, {DB: "db", Name: "c"}}

func open(t testing.TB, cfg embedded.Config) *embedded.Broker {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	b, err := embedded.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ensure(t testing.TB, cfg kafka.Config) {
	t.Helper()
	a, err := kafka.NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Ensure(t.Context(), kafka.StreamTopics("s", tables, kafka.StreamOptions{}), 1); err != nil {
		t.Fatal(err)
	}
}

// writer returns a started writer of stream s.
func writer(t testing.TB, cfg kafka.Config) *stream.Writer {
	t.Helper()
	w, _ := unstarted(t, cfg)
	if _, err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func unstarted(t testing.TB, cfg kafka.Config) (*stream.Writer, *kafka.Log) {
	t.Helper()
	p := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, TransactionalID: "cdc.s.capture"})
	t.Cleanup(p.Close)
	l := newLog(t, cfg)
	return stream.NewWriter(stream.WriterConfig{Stream: "s"}, p, l), l
}

func newLog(t testing.TB, cfg kafka.Config) *kafka.Log {
	t.Helper()
	l, err := kafka.NewLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// batch commits units of rows each; the value says where the row stands.
func batch(ctx context.Context, w *stream.Writer, kind change.UnitKind, units, rows int) (change.Mark, error) {
	if err := w.Begin(ctx); err != nil {
		return change.Mark{}, err
	}
	p := wire.Progress{Kind: kind, SeqFrom: w.State().Seq() + 1, Position: change.Position{GTID: fmt.Sprint(w.State().Seq() + 1)}}
	if kind == change.Begin {
		p.Cover = &change.Cover{ID: "c", Heal: true, Tables: []string{"db.a", "db.b", "db.c"}}
	}
	p.SeqTo = p.SeqFrom + change.Seq(units) - 1
	for s := p.SeqFrom; s <= p.SeqTo; s++ {
		for i := range rows {
			at := fmt.Sprintf("%d/%d", s, i)
			r := stream.Row{Topic: stream.DataTopic("s", tables[i%3]), Key: []byte(at), Value: []byte(at), Seq: s, Idx: uint64(i)}
			if err := w.Append(ctx, r); err != nil {
				return change.Mark{}, err
			}
		}
	}
	return w.Commit(ctx, p, nil)
}

// verify checks that a record holds its units completely and in order.
func verify(ctx context.Context, rec *stream.Record, rows int) error {
	seq, idx := rec.Progress.SeqFrom, 0
	for d, err := range rec.Open(ctx) {
		if err != nil {
			return err
		}
		if d.Seq != seq || int(d.Idx) != idx || string(d.Value) != fmt.Sprintf("%d/%d", seq, idx) {
			return fmt.Errorf("read %d/%d %q instead of %d/%d", d.Seq, d.Idx, d.Value, seq, idx)
		}
		if idx++; idx == rows {
			seq, idx = seq+1, 0
		}
	}
	if seq != rec.Progress.SeqTo+1 && rec.Records > 0 {
		return fmt.Errorf("units %d..%d end at %d/%d", rec.Progress.SeqFrom, rec.Progress.SeqTo, seq, idx)
	}
	return nil
}

func TestStreamOverBroker(t *testing.T) {
	b := open(t, embedded.Config{})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	streamOver(t, b.Client())
}

// streamOver writes, reads, reads again and fences over some broker.
func streamOver(t *testing.T, cfg kafka.Config) {
	ctx := t.Context()
	ensure(t, cfg)
	ensure(t, cfg)
	w := writer(t, cfg)
	first, err := batch(ctx, w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, cfg), first)
	const batches, rows = 200, 12
	var slowest time.Duration
	for i := range batches {
		if _, err := batch(ctx, w, change.Changes, 1, rows); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		rec, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(ctx, rec, rows); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			slowest = max(slowest, time.Since(began))
		}
		if rec.Mark != w.State().Mark || rec.Rows != rows {
			t.Fatalf("read %v, %d rows; wrote %v", rec.Mark, rec.Rows, w.State().Mark)
		}
	}
	t.Logf("slowest from commit to read: %s", slowest)
	// Once more from the start, now with read-ahead.
	r = stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, cfg), first)
	for range batches {
		rec, err := r.TryNext(ctx)
		if err != nil || rec == nil {
			t.Fatal(rec, err)
		}
		if err := verify(ctx, rec, rows); err != nil {
			t.Fatal(err)
		}
	}
	if rec, err := r.TryNext(ctx); rec != nil || err != nil {
		t.Error("there is more than was written:", rec, err)
	}
	old := w
	w = writer(t, cfg)
	if w.State().Mark != old.State().Mark {
		t.Errorf("started at %v, left at %v", w.State().Mark, old.State().Mark)
	}
	if _, err := batch(ctx, old, change.Changes, 1, 1); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the fenced writer got %v", err)
	}
	if _, err := batch(ctx, w, change.Changes, 1, 1); err != nil {
		t.Error(err)
	}
	if _, err := old.Start(ctx); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the fenced writer started again: %v", err)
	}
}

func TestSecondDaemon(t *testing.T) {
	dir := t.TempDir()
	b := open(t, embedded.Config{Dir: dir})
	if _, err := embedded.Open(t.Context(), embedded.Config{Dir: dir, Listen: "127.0.0.1:0"}); err == nil {
		t.Error("two brokers use one folder")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Open(t.Context(), embedded.Config{Dir: dir, Listen: "0.0.0.0:0"}); err == nil {
		t.Error("it listens to everybody")
	}
}
