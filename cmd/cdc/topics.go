package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/etlsandbox/cdc/internal/config"
)

func (a *app) topicsCommand() *cobra.Command {
	return section("topics", "List and read topics", "  cdc topics list\n  cdc topics tail jupiter.sakila.film -n 20",
		a.topicsList(), a.topicsTail())
}

// topicSummary is one topic; records count what offsets span, markers of transactions included.
type topicSummary struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	First      int64  `json:"first_offsets"`
	Next       int64  `json:"next_offsets"`
	Records    int64  `json:"offsets"`
}

func (a *app) topicsList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the topics of the broker",
		Long: `List the topics of the configured broker with the sums of their partitions' first and next offsets. The offsets that
lie between include the markers that end transactions, so they are a little more than the records.`,
		Example: "  cdc topics list\n  cdc topics list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.brief(cmd.Context())
			defer cancel()
			cl, _, err := a.openBroker(ctx)
			if err != nil {
				return err
			}
			defer cl.Close()
			topics, err := listTopics(ctx, kadm.NewClient(cl))
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(topics)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TOPIC\tPARTITIONS\tFIRST\tNEXT\tOFFSETS")
			for _, t := range topics {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", t.Topic, t.Partitions, t.First, t.Next, t.Records)
			}
			return w.Flush()
		},
	}
}

// openBroker connects to the configured broker; the caller closes the client.
func (a *app) openBroker(ctx context.Context, more ...kgo.Opt) (*kgo.Client, *config.Config, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, err
	}
	opts, err := kafkaOptions(&c.Broker)
	if err != nil {
		return nil, nil, err
	}
	// Ten tries of the client's own backoff would take longer than anybody waits for a list.
	opts = append(opts, kgo.RequestRetries(2))
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	if err := reachBroker(ctx, cl, &c.Broker); err != nil {
		cl.Close()
		return nil, nil, err
	}
	return cl, c, nil
}

func listTopics(ctx context.Context, adm *kadm.Client) ([]topicSummary, error) {
	details, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	names := details.Names()
	first, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list first offsets: %w", err)
	}
	next, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list next offsets: %w", err)
	}
	out := []topicSummary{}
	for _, t := range details.Sorted() {
		s := topicSummary{Topic: t.Topic, Partitions: len(t.Partitions)}
		for _, p := range t.Partitions.Sorted() {
			from, _ := first.Lookup(t.Topic, p.Partition)
			to, _ := next.Lookup(t.Topic, p.Partition)
			s.First += max(from.Offset, 0)
			s.Next += max(to.Offset, 0)
		}
		s.Records = s.Next - s.First
		out = append(out, s)
	}
	return out, nil
}

// unknownTopic names the topics there are.
func unknownTopic(topic string, known []string) error {
	return fmt.Errorf("no topic %s (topics: %s)", topic, orNone(strings.Join(known, ", ")))
}
