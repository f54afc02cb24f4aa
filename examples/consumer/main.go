// Command consumer prints the changes of one topic, of a table or of a view, as a
// starting point for a program of your own. It needs nothing of cdc: the records are
// Debezium's envelopes in JSON, and any Kafka client in any language reads them.
//
//	go run ./examples/consumer -brokers 127.0.0.1:19092 -topic jupiter-views.MyView
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	var o options
	flags := flag.NewFlagSet("consumer", flag.ExitOnError)
	brokers := flags.String("brokers", "127.0.0.1:19092", "addresses of Kafka brokers, separated by commas")
	flags.StringVar(&o.topic, "topic", "", "topic to read, for example jupiter-views.MyView")
	flags.StringVar(&o.group, "group", "", "consumer group that remembers what was read; empty: read from the start each time")
	flags.IntVar(&o.limit, "n", 0, "end after so many records; 0: at Ctrl-C")
	_ = flags.Parse(os.Args[1:]) // ExitOnError
	o.brokers = strings.Split(*brokers, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

type options struct {
	brokers []string
	topic   string
	group   string
	limit   int
}

// run prints changes until ctx ends or the limit is reached.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.topic == "" {
		return errors.New("no topic: name one with -topic (cdc topics list shows them)")
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(o.brokers...),
		kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// cdc writes in Kafka transactions: without this, changes would be seen that it
		// took back and will send again.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
	if o.group != "" {
		settings = append(settings, kgo.ConsumerGroup(o.group), kgo.DisableAutoCommit())
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return fmt.Errorf("set up the Kafka client: %w", err)
	}
	defer client.Close()

	for printed := 0; ; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, failed := range fetches.Errors() {
			return fmt.Errorf("read %s, partition %d: %w", failed.Topic, failed.Partition, failed.Err)
		}
		for _, record := range fetches.Records() {
			line, err := describe(record)
			if err != nil {
				return fmt.Errorf("%s, partition %d, offset %d: %w", record.Topic, record.Partition, record.Offset, err)
			}
			if _, err := fmt.Fprintln(out, line); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			if printed++; printed == o.limit {
				return nil
			}
		}
		// What is printed is done: commit after the work, so that a crash repeats some
		// records and loses none. Work that must not be repeated belongs into one
		// transaction with the offset.
		if o.group != "" {
			if err := client.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("commit offsets of group %s: %w", o.group, err)
			}
		}
	}
}

// row holds a row's columns. Values stay JSON text until somebody asks for one: a Go
// float64 would lose digits of a large number.
type row map[string]json.RawMessage

// envelope is the part of Debezium's envelope that most programs need.
type envelope struct {
	Op     string `json:"op"` // c insert, u update, d delete, r read (first load, resync)
	Before row    `json:"before"`
	After  row    `json:"after"`
	Source struct {
		Table string `json:"table"`
		TsMs  int64  `json:"ts_ms"` // when the source committed
		GTID  string `json:"gtid"`
	} `json:"source"`
}

// describe makes a line of a record: what happened, to which key, and the row.
func describe(record *kgo.Record) (string, error) {
	if record.Value == nil {
		// A tombstone: for log compaction. The delete came right before it.
		return fmt.Sprintf("tombstone %s", record.Key), nil
	}
	var change envelope
	if err := json.Unmarshal(record.Value, &change); err != nil {
		return "", fmt.Errorf("decode the envelope: %w", err)
	}
	switch change.Op {
	case "c", "r", "u":
		// The same for all three: the row is now exactly this.
		text, err := json.Marshal(change.After)
		if err != nil {
			return "", fmt.Errorf("print the row: %w", err)
		}
		return fmt.Sprintf("%-9s %s %s", verb(change.Op), record.Key, text), nil
	case "d":
		return fmt.Sprintf("delete    %s", record.Key), nil
	default:
		return "", fmt.Errorf("operation %q is unknown to this program", change.Op)
	}
}

func verb(op string) string {
	switch op {
	case "c":
		return "insert"
	case "u":
		return "update"
	default:
		return "read"
	}
}
