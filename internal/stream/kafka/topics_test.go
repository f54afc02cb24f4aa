package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
)

func cluster(t *testing.T, opts ...kfake.Opt) kafka.Config {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kafka.Config{Brokers: c.ListenAddrs()}
}

func admin(t *testing.T, cfg kafka.Config) *kafka.Admin {
	t.Helper()
	a, err := kafka.NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func TestEnsure(t *testing.T) {
	a := admin(t, cluster(t))
	tables := []change.TableID{{DB: "db", Name: "a"}, {DB: "db", Name: "b"}}
	week := kafka.StreamOptions{Partitions: 2, Retention: 168 * time.Hour, MaxMessageBytes: 1 << 20}
	ctx := t.Context()
	for range 2 { // a second start finds what the first made
		if err := a.Ensure(ctx, kafka.StreamTopics("s", tables, week), 1); err != nil {
			t.Fatal(err)
		}
	}
	have, err := a.List(ctx, "s.")
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != 4 || have["s.db.a"] != 2 || have["s.progress"] != 1 || have["s.meta"] != 1 {
		t.Errorf("topics: %v", have)
	}
	less := week
	less.Partitions, less.Retention = 1, time.Hour
	if err := a.Ensure(ctx, kafka.StreamTopics("s", tables, less), 1); err != nil {
		t.Errorf("less than there is: %v", err)
	}
	more := kafka.StreamOptions{Partitions: 3, Retention: 400 * time.Hour, MaxMessageBytes: 2 << 20}
	problem(t, a.Ensure(ctx, kafka.StreamTopics("s", tables, more), 1),
		"s.db.a", "s.db.b", "has 2 partitions, 3 are asked for", "--partitions 3",
		"s.progress (the progress of stream s) has retention.ms=907200000, 2160000000 is needed",
		"s.meta (the meta records of stream s) has max.message.bytes=1048576, 2097152 is needed")
	// A topic of somebody else, compacted.
	other := kafka.StreamTopics("s", tables, week)
	other[0].Compact = true
	problem(t, a.Ensure(ctx, other, 1), "s.progress", "cleanup.policy=delete, compact is needed")
	endless := week
	endless.Retention = 0
	problem(t, a.Ensure(ctx, kafka.StreamTopics("s", tables, endless), 1), "retention.ms=604800000, -1 is needed")
}

func problem(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q is not in:\n%v", p, err)
		}
	}
}

func TestClashes(t *testing.T) {
	a := admin(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}}) // never reached
	for name, tables := range map[string][]change.TableID{
		"the same name":     {{DB: "db", Name: "ä"}, {DB: "db", Name: "ö"}},
		"dot and underline": {{DB: "db", Name: "a.b"}, {DB: "db", Name: "a_b"}},
		"progress":          {{Name: "progress"}},
	} {
		t.Run(name, func(t *testing.T) {
			problem(t, a.Ensure(t.Context(), kafka.StreamTopics("s", tables, kafka.StreamOptions{}), 1), "cannot tell apart", "source.tables.exclude")
		})
	}
	problem(t, a.Ensure(t.Context(), kafka.StreamTopics("s", []change.TableID{{Name: strings.Repeat("x", 250)}}, kafka.StreamOptions{}), 1), "249")
}

func TestUnreachable(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	problem(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}}.Ping(ctx), "127.0.0.1:1")
	problem(t, kafka.Config{}.Ping(ctx), "broker.brokers")
	problem(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}, SASL: kafka.SASL{Mechanism: "GSSAPI"}}.Ping(ctx), "GSSAPI", "SCRAM-SHA-512")
}
