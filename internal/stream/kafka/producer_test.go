package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

func started(t *testing.T, cfg kafka.Config, p *kafka.Producer) *stream.Writer {
	t.Helper()
	if err := admin(t, cfg).Ensure(t.Context(), kafka.StreamTopics("s", []change.TableID{{Name: "a"}}, kafka.StreamOptions{}), 1); err != nil {
		t.Fatal(err)
	}
	log, err := kafka.NewLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	t.Cleanup(p.Close)
	w := stream.NewWriter(stream.WriterConfig{Stream: "s"}, p, log)
	if _, err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func begin(t *testing.T, w *stream.Writer) {
	t.Helper()
	if err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	seq := w.State().Seq() + 1
	if _, err := w.Commit(t.Context(), wire.Progress{Kind: change.Begin, SeqFrom: seq, SeqTo: seq, Cover: &change.Cover{Heal: true}}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestTimeoutIsTheBrokers(t *testing.T) {
	cfg := cluster(t)
	p := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, TransactionalID: "x"})
	begin(t, started(t, cfg, p))
	if p.Timeout() != 15*time.Minute {
		t.Errorf("the timeout is %s", p.Timeout())
	}
}

// A batch that needs longer than a transaction may live says which line raises the limit; a start then
// finds the stream as it was.
func TestSlowBatch(t *testing.T) {
	cfg := cluster(t)
	p := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, TransactionalID: "x", Timeout: 300 * time.Millisecond})
	w := started(t, cfg, p)
	begin(t, w)
	before := w.State().Mark
	if err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var err error
	for range 200 {
		if err = w.Append(t.Context(), stream.Row{Topic: "s.a", Key: []byte("k"), Value: []byte("v"), Seq: before.Seq + 1}); err != nil {
			break
		}
		<-tick.C
	}
	slow := new(stream.SlowError)
	if !errors.As(err, &slow) || !strings.Contains(err.Error(), "transaction.max.timeout.ms=") {
		t.Fatalf("got %v", err)
	}
	if st, err := w.Start(t.Context()); err != nil || st.Mark != before {
		t.Errorf("started at %+v, %v", st, err)
	}
}

func TestLargeRecord(t *testing.T) {
	cfg := cluster(t)
	p := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, TransactionalID: "x"})
	w := started(t, cfg, p)
	begin(t, w)
	// Far above a batch, and whole all the same.
	value := make([]byte, 20<<20)
	for i := range value {
		value[i] = byte(i * i >> 3)
	}
	if err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	seq := w.State().Seq() + 1
	if err := w.Append(t.Context(), stream.Row{Topic: "s.a", Key: []byte("k"), Value: value, Seq: seq}); err != nil {
		t.Fatal(err)
	}
	before := w.State().Mark
	if _, err := w.Commit(t.Context(), wire.Progress{Kind: change.Changes, SeqFrom: seq, SeqTo: seq}, nil); err != nil {
		t.Fatal(err)
	}
	log, err := kafka.NewLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, log, before)
	rec, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range rec.Open(t.Context()) {
		if err != nil || len(d.Value) != len(value) {
			t.Errorf("read %d bytes of %d, %v", len(d.Value), len(value), err)
		}
	}
}
