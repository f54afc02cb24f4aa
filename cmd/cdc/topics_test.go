package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produce writes two committed transactions and one that is aborted to a topic of two partitions.
func produce(t *testing.T, addrs []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	record := func(seq, idx byte, partition int32, value string) *kgo.Record {
		r := &kgo.Record{Topic: "jupiter.shop.orders", Partition: partition, Key: []byte(`{"id": 1}`), Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: "cdc.seq", Value: []byte{1, seq}}, {Key: "cdc.idx", Value: []byte{idx}}}}
		if value != "" {
			r.Value = []byte(value)
		}
		return r
	}
	for _, tx := range []struct {
		commit  kgo.TransactionEndTry
		records []*kgo.Record
	}{
		{kgo.TryCommit, []*kgo.Record{
			record(1, 1, 0, `{"before":null,"after":{"id":2,"note":null},"op":"c"}`),
			record(1, 0, 1, `{"before":null,"after":{"id":1,"note":"a"},"op":"r"}`),
		}},
		{kgo.TryAbort, []*kgo.Record{record(2, 0, 0, `{"op":"c","after":{"id":9}}`)}},
		{kgo.TryCommit, []*kgo.Record{
			record(2, 0, 1, `{"before":{"id":1,"note":"a","x":1.5},"after":{"id":1,"note":"b","x":1.50},"op":"u"}`),
			record(2, 1, 1, `{"before":{"id":1,"note":"b"},"after":null,"op":"d"}`),
			record(2, 2, 1, ""),
			record(3, 0, 1, `plain "text"`),
		}},
	} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), tx.records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), tx.commit); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTopics(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "jupiter.shop.orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	produce(t, broker.ListenAddrs())
	file := filepath.Join(t.TempDir(), "cdc.yaml")
	if err := os.WriteFile(file, []byte(testConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	p := process{environ: []string{"PW=x"}}
	args := func(more ...string) []string {
		return append([]string{"-c", file, "--set", "broker.listen=" + broker.ListenAddrs()[0]}, more...)
	}

	o := execute(t.Context(), p, args("topics", "list")...)
	want := "TOPIC                PARTITIONS  FIRST  NEXT  OFFSETS\njupiter.shop.orders  2           0      11    11\n"
	if diff := cmp.Diff(outcome{0, want, ""}, o, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}

	o = execute(t.Context(), p, args("topics", "tail", "jupiter.shop.orders")...)
	want = `257.0  r  {"id":1}  {"id":1,"note":"a"}
257.1  c  {"id":1}  {"id":2,"note":null}
258.0  u  {"id":1}  note: "a" -> "b", x: 1.5 -> 1.50
258.1  d  {"id":1}  {"id":1,"note":"b"}
258.2  tombstone  {"id":1}
259.0  {"id":1}  "plain \"text\""
`
	if diff := cmp.Diff(outcome{0, want, ""}, o, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}

	o = execute(t.Context(), p, args("topics", "tail", "jupiter.shop.orders", "-n", "2", "--json")...)
	want = `{"topic":"jupiter.shop.orders","partition":1,"offset":4,"timestamp":"2026-01-02T03:04:05Z","headers":{"cdc.idx":"2","cdc.seq":"258"},"key":{"id":1},"value":null}
{"topic":"jupiter.shop.orders","partition":1,"offset":5,"timestamp":"2026-01-02T03:04:05Z","headers":{"cdc.idx":"0","cdc.seq":"259"},"key":{"id":1},"value":"plain \"text\""}
`
	if diff := cmp.Diff(outcome{0, want, ""}, o, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("tail --json (-want +got):\n%s", diff)
	}

	o = execute(t.Context(), p, args("topics", "tail", "jupiter.shop.order")...)
	if o.status != exitUnknown || !strings.Contains(o.stderr, "no topic jupiter.shop.order (topics: jupiter.shop.orders)") {
		t.Errorf("unknown topic: %s", o)
	}
}

func FuzzReadable(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte(`{"before":{"a":1},"after":{"a":2},"op":"u"}`))
	f.Add([]byte(nil), []byte(`{"before":[1],"after":{},"op":"u"}`))
	f.Add([]byte("\xff"), []byte("\xff{"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := &kgo.Record{Key: key, Value: value}
		if s := readable(r); s == "" {
			t.Error("nothing is shown")
		}
		var out strings.Builder
		a := &app{process: process{stdout: &out}, json: true}
		if err := a.printRecord(r); err != nil {
			t.Error(err)
		}
	})
}
