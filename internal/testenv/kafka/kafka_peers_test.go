//go:build peers

package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/etlsandbox/cdc/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestKill9 kills a node, restarts it on its data and finds what it had
// acknowledged.
func TestKill9(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := testenv.NewKafka(t)
	const topic = "t"
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	addr := s.Addr
	if err := s.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Addr != addr {
		t.Errorf("address %s after a restart, want %s", s.Addr, addr)
	}
	fetches := client.PollRecords(ctx, 1)
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	records := fetches.Records()
	if len(records) != 1 || string(records[0].Value) != "kept" {
		t.Errorf("read %d records after kill -9 (%v), want the one that was acknowledged", len(records), fetches.Errors())
	}
	if s.Version != "4.3.1" {
		t.Errorf("version %q", s.Version)
	}
}
