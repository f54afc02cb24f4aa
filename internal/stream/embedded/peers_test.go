//go:build peers

package embedded_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
)

// peer is the Kafka that CDC_TEST_KAFKA names (addresses, separated by commas), without our topics.
func peer(t *testing.T) kafka.Config {
	t.Helper()
	at := os.Getenv("CDC_TEST_KAFKA")
	if at == "" {
		t.Fatal("set CDC_TEST_KAFKA to the addresses of a Kafka that may be written to")
	}
	cfg := kafka.Config{Brokers: strings.Split(at, ",")}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	have, err := adm.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range have {
		if strings.HasPrefix(name, "s.") {
			if _, err := adm.DeleteTopic(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitGone(t, cfg)
	return cfg
}

// awaitGone waits until the broker has forgotten our topics: it deletes them in its own time.
func awaitGone(t *testing.T, cfg kafka.Config) {
	t.Helper()
	a, err := kafka.NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		have, err := a.List(t.Context(), "s.")
		if err != nil {
			t.Fatal(err)
		}
		if len(have) == 0 {
			return
		}
		<-tick.C
	}
	t.Fatal("the topics of an earlier run are not deleted after 20 s")
}

func TestPeerStream(t *testing.T) { streamOver(t, peer(t)) }

// TestPeerKill is TestKill with a Kafka that outlives the daemon.
func TestPeerKill(t *testing.T) {
	cfg := peer(t)
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	const kills = 20
	for range kills {
		kill(t, dir, 600*time.Millisecond+time.Duration(rnd.Int64N(int64(time.Second))), childKafka+"="+os.Getenv("CDC_TEST_KAFKA"))
	}
	w := writer(t, cfg)
	st := w.State()
	if st.Fresh {
		t.Fatalf("a new incarnation: %s", st.Why)
	}
	mark, err := loadMark(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, cfg), mark)
	for r.Mark() != st.Mark {
		rec, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d units written, %d read after the last", kills, st.Seq()-change.Seq(st.Incarnation), st.Seq()-mark.Seq)
}

// TestPeerChain reads the whole stream: nothing is lost or twice, whatever was killed.
func TestPeerChain(t *testing.T) {
	cfg := peer(t)
	ensure(t, cfg)
	w := writer(t, cfg)
	first, err := batch(t.Context(), w, change.Begin, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		// A transaction that is never ended: the next start ends it.
		lost := writer(t, cfg)
		if err := lost.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lost.Append(t.Context(), stream.Row{Topic: "s.db.a", Key: []byte("x"), Value: []byte("lost"), Seq: lost.State().Seq() + 1}); err != nil {
			t.Fatal(err)
		}
		w = writer(t, cfg)
		if _, err := batch(t.Context(), w, change.Changes, 2, 7); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, cfg), first)
	for r.Mark() != w.State().Mark {
		rec, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(ctx, rec, 7); err != nil {
			t.Fatal(err)
		}
	}
}
