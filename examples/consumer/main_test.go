package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "jupiter-views.CustomerOrderFlat"

func broker(t *testing.T) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func record(key, value string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// inTransaction writes records in one Kafka transaction, as cdc does, and ends it.
func inTransaction(t *testing.T, brokers []string, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("writer"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

func TestPrintsCommittedChangesInOrder(t *testing.T) {
	brokers := broker(t)
	row := `{"RentalId":1,"Amount":"2.99","PaymentId":18446744073709551615}`
	inTransaction(t, brokers, kgo.TryAbort, record(`{"RentalId":9}`, `{"op":"c","before":null,"after":{"RentalId":9}}`))
	inTransaction(t, brokers, kgo.TryCommit,
		record(`{"RentalId":1}`, `{"before":null,"after":`+row+`,"source":{"table":"CustomerOrderFlat","ts_ms":1},"transaction":null,"op":"r","ts_ms":2}`),
		record(`{"RentalId":1}`, `{"before":`+row+`,"after":{"RentalId":1,"Amount":null},"op":"u"}`),
		record(`{"RentalId":1}`, `{"before":{"RentalId":1},"after":null,"op":"d"}`),
		record(`{"RentalId":1}`, ""))
	var out bytes.Buffer
	if err := run(t.Context(), options{brokers: brokers, topic: topic, limit: 4}, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`read      {"RentalId":1} {"Amount":"2.99","PaymentId":18446744073709551615,"RentalId":1}`,
		`update    {"RentalId":1} {"Amount":null,"RentalId":1}`,
		`delete    {"RentalId":1}`,
		`tombstone {"RentalId":1}`,
		``,
	}
	if diff := cmp.Diff(want, strings.Split(out.String(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestSaysWhereARecordIsThatItCannotRead(t *testing.T) {
	brokers := broker(t)
	inTransaction(t, brokers, kgo.TryCommit, record(`{"RentalId":1}`, `{"op":"x"}`))
	err := run(t.Context(), options{brokers: brokers, topic: topic}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), topic) || !strings.Contains(err.Error(), `offset 0`) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("error: %v", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, options{brokers: broker(t), topic: topic}, &bytes.Buffer{}); err != nil {
		t.Errorf("the end of the context is an error: %v", err)
	}
	if err := run(ctx, options{}, &bytes.Buffer{}); err == nil {
		t.Error("no topic, and no error")
	}
}
