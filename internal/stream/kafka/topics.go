package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Topic says what a topic has to be.
type Topic struct {
	Name string
	// For is what the topic is for, in messages: "table shop.orders".
	For        string
	Partitions int32
	Compact    bool
	// Retention and RetentionBytes (per partition) bound a topic that is not compacted; below 1 is without
	// bound.
	Retention       time.Duration
	RetentionBytes  int64
	MaxMessageBytes int
	// SegmentBytes is the size of a segment file of a new topic; 0 is the broker's default.
	SegmentBytes int
}

// StreamOptions are what the topics of a stream have in common.
type StreamOptions struct {
	Partitions      int32         // of data topics; default 4
	Retention       time.Duration // of data; progress is kept half as long again
	RetentionBytes  int64         // of a data partition
	MaxMessageBytes int           // default 64 MiB
	SegmentBytes    int
}

// StreamTopics lists the topics of a stream with these tables or views.
func StreamTopics(name string, tables []change.TableID, o StreamOptions) []Topic {
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 64 << 20
	}
	out := []Topic{
		{Name: stream.ProgressTopic(name), For: "the progress of stream " + name, Partitions: 1, Retention: o.Retention * 3 / 2, MaxMessageBytes: o.MaxMessageBytes, SegmentBytes: o.SegmentBytes},
		{Name: stream.MetaTopic(name), For: "the meta records of stream " + name, Partitions: 1, Compact: true, MaxMessageBytes: o.MaxMessageBytes, SegmentBytes: o.SegmentBytes},
	}
	for _, t := range tables {
		out = append(out, Topic{
			Name: stream.DataTopic(name, t), For: "table " + t.String(), Partitions: o.Partitions, Retention: o.Retention,
			RetentionBytes: o.RetentionBytes, MaxMessageBytes: o.MaxMessageBytes, SegmentBytes: o.SegmentBytes,
		})
	}
	return out
}

// Admin creates and checks topics. Close it.
type Admin struct {
	cl  *kgo.Client
	adm *kadm.Client
}

// NewAdmin returns an Admin; no connection is opened yet.
func NewAdmin(cfg Config) (*Admin, error) {
	cl, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	return &Admin{cl: cl, adm: kadm.NewClient(cl)}, nil
}

// Close drops the connections.
func (a *Admin) Close() { a.cl.Close() }

// Ensure creates the topics that do not exist, and checks that all are no less than asked. All that is
// wrong is reported at once, each with the command that mends it. replication is the replication factor of
// new topics.
func (a *Admin) Ensure(ctx context.Context, topics []Topic, replication int16) error {
	if err := clashes(topics); err != nil {
		return err
	}
	have, err := a.List(ctx, "")
	if err != nil {
		return err
	}
	var problems []error
	var names []string
	for _, t := range topics {
		n, ok := have[t.Name]
		switch {
		case !ok:
			if err := a.create(ctx, t, replication); err != nil {
				problems = append(problems, err)
				continue
			}
		case int32(n) < t.Partitions:
			problems = append(problems, fmt.Errorf("topic %s (%s) has %d partitions, %d are asked for (kafka-topics.sh --alter --topic %s --partitions %d, or lower broker.partitions)",
				t.Name, t.For, n, t.Partitions, t.Name, t.Partitions))
		}
		names = append(names, t.Name)
	}
	problems = append(problems, a.check(ctx, topics, names))
	return errors.Join(problems...)
}

// clashes finds topics that get the same name, or names that Kafka itself cannot tell apart.
func clashes(topics []Topic) error {
	var problems []error
	seen := map[string]Topic{}
	for _, t := range topics {
		if len(t.Name) > 249 {
			problems = append(problems, fmt.Errorf("the topic name %s (%s) has %d characters, Kafka allows 249 (leave the table out with source.tables.exclude)", t.Name, t.For, len(t.Name)))
		}
		like := strings.ReplaceAll(t.Name, ".", "_")
		if o, ok := seen[like]; ok {
			problems = append(problems, fmt.Errorf("%s and %s get the topics %s and %s, which Kafka cannot tell apart (leave one of them out with source.tables.exclude)", o.For, t.For, o.Name, t.Name))
		}
		seen[like] = t
	}
	return errors.Join(problems...)
}

// configs are the settings of a new topic.
func (t Topic) configs() map[string]*string {
	c := map[string]*string{
		"cleanup.policy":         kadm.StringPtr("delete"),
		"max.message.bytes":      kadm.StringPtr(strconv.Itoa(t.MaxMessageBytes)),
		"message.timestamp.type": kadm.StringPtr("CreateTime"),
	}
	if t.SegmentBytes > 0 {
		c["segment.bytes"] = kadm.StringPtr(strconv.Itoa(t.SegmentBytes))
	}
	if t.Compact {
		c["cleanup.policy"] = kadm.StringPtr("compact")
		c["min.cleanable.dirty.ratio"] = kadm.StringPtr("0.1")
		c["segment.ms"] = kadm.StringPtr("3600000") // only closed segments are compacted
		return c
	}
	c["retention.ms"] = kadm.StringPtr(unbounded(t.Retention.Milliseconds()))
	c["retention.bytes"] = kadm.StringPtr(unbounded(t.RetentionBytes))
	return c
}

func unbounded(n int64) string {
	if n < 1 {
		n = -1
	}
	return strconv.FormatInt(n, 10)
}

func (a *Admin) create(ctx context.Context, t Topic, replication int16) error {
	_, err := a.adm.CreateTopic(ctx, t.Partitions, replication, t.configs(), t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s (%s) with %d partitions and replication factor %d: %w", t.Name, t.For, t.Partitions, replication, err)
	}
	return nil
}

// check compares the settings of topics that exist.
func (a *Admin) check(ctx context.Context, topics []Topic, names []string) error {
	if len(names) == 0 {
		return nil
	}
	rcs, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("describe topics: %w", err)
	}
	var problems []error
	for _, t := range topics {
		if !slices.Contains(names, t.Name) {
			continue
		}
		rc, err := rcs.On(t.Name, nil)
		if err != nil {
			problems = append(problems, fmt.Errorf("describe topic %s: %w", t.Name, err))
			continue
		}
		is := map[string]string{}
		for _, c := range rc.Configs {
			if c.Value != nil {
				is[c.Key] = *c.Value
			}
		}
		for k, v := range less(t, is) {
			problems = append(problems, fmt.Errorf("topic %s (%s) has %s=%s, %s is needed (kafka-configs.sh --alter --topic %s --add-config %s=%s)",
				t.Name, t.For, k, is[k], v, t.Name, k, v))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// less returns the settings that give less than asked for, with what they have to be.
func less(t Topic, is map[string]string) map[string]string {
	out := map[string]string{}
	policy := "delete"
	if t.Compact {
		policy = "compact"
	}
	if v, ok := is["cleanup.policy"]; ok && v != policy {
		out["cleanup.policy"] = policy
	}
	floor := map[string]int64{"max.message.bytes": int64(t.MaxMessageBytes)}
	if !t.Compact {
		floor["retention.ms"], floor["retention.bytes"] = t.Retention.Milliseconds(), t.RetentionBytes
	}
	for _, k := range slices.Sorted(maps.Keys(floor)) {
		v, err := strconv.ParseInt(is[k], 10, 64)
		if err != nil {
			continue // the broker does not tell
		}
		endless := k != "max.message.bytes" && floor[k] < 1
		if v >= 0 && (endless || v < floor[k]) {
			out[k] = strconv.FormatInt(floor[k], 10)
			if endless {
				out[k] = "-1"
			}
		}
	}
	return out
}

// List returns the names of all topics that begin with the prefix, and how many partitions they have.
func (a *Admin) List(ctx context.Context, prefix string) (map[string]int, error) {
	req := kmsg.NewPtrMetadataRequest() // not kadm's, which may answer from memory
	resp, err := req.RequestWith(ctx, a.cl)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	out := map[string]int{}
	for _, t := range resp.Topics {
		if t.Topic != nil && strings.HasPrefix(*t.Topic, prefix) {
			out[*t.Topic] = len(t.Partitions)
		}
	}
	return out, nil
}
