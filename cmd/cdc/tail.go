package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/etlsandbox/cdc/internal/stream"
)

func (a *app) topicsTail() *cobra.Command {
	var n int
	var follow bool
	c := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Print the newest records of a topic, readable",
		Long: `Print the newest committed records of a topic in their order, one a line: unit and index, operation, key, and the row or
what changed in it. With --json each record is one JSON object a line, with everything it carries.`,
		Example: "  cdc topics tail jupiter.sakila.film\n  cdc topics tail jupiter-views.CustomerOrderFlat -n 100 --json",
		Args:    exactArgs("a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 {
				return fmt.Errorf("-n %d: write a number of records from 1", n)
			}
			return a.tail(cmd.Context(), args[0], n, follow)
		},
	}
	c.Flags().IntVarP(&n, "lines", "n", 10, "how many records")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new records until interrupted")
	return c
}

func (a *app) tail(ctx context.Context, topic string, n int, follow bool) error {
	open, cancel := a.brief(ctx)
	defer cancel()
	cl, _, err := a.openBroker(open, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := tailFrom(open, cl, topic, int64(n))
	if err != nil {
		return err
	}
	newest, err := readUntil(open, cl, topic, ends)
	if err != nil {
		return err
	}
	slices.SortStableFunc(newest, compareRecords)
	for _, r := range newest[max(0, len(newest)-n):] {
		if err := a.printRecord(r); err != nil {
			return err
		}
	}
	for follow {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			if err := a.printRecord(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailFrom sets the client to read the end of a topic and returns the offsets up to which it must read.
// Markers of transactions take offsets too: in the worst case every other one.
func tailFrom(ctx context.Context, cl *kgo.Client, topic string, n int64) (map[int32]int64, error) {
	adm := kadm.NewClient(cl)
	details, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	if !details.Has(topic) {
		return nil, unknownTopic(topic, details.Names())
	}
	first, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list first offsets of %s: %w", topic, err)
	}
	// What is committed ends where the first open transaction begins.
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list committed offsets of %s: %w", topic, err)
	}
	ends := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	stable.Each(func(o kadm.ListedOffset) {
		start, _ := first.Lookup(topic, o.Partition)
		at := max(start.Offset, o.Offset-2*n-1)
		from[o.Partition] = kgo.NewOffset().At(at)
		if o.Offset > at {
			ends[o.Partition] = o.Offset
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return ends, nil
}

// readUntil reads until every partition has reached its end, which may lie behind a marker that no record
// shows.
func readUntil(ctx context.Context, cl *kgo.Client, topic string, ends map[int32]int64) ([]*kgo.Record, error) {
	var out []*kgo.Record
	for idle := 0; len(ends) > 0 && idle < 4; {
		poll, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read %s: %w", topic, ctx.Err())
		}
		if poll.Err() == nil {
			if err := fetches.Err(); err != nil {
				return nil, fmt.Errorf("read %s: %w", topic, err)
			}
		}
		idle++
		for _, r := range fetches.Records() {
			idle = 0
			out = append(out, r)
			// Only a marker, if anything, lies between the last record and the end.
			if end, ok := ends[r.Partition]; ok && r.Offset+2 >= end {
				delete(ends, r.Partition)
			}
		}
	}
	return out, nil
}

// compareRecords orders by unit and index where records carry them, else by time.
func compareRecords(a, b *kgo.Record) int {
	as, aok := number(a, stream.HeaderSeq)
	bs, bok := number(b, stream.HeaderSeq)
	if aok && bok {
		ai, _ := number(a, stream.HeaderIdx)
		bi, _ := number(b, stream.HeaderIdx)
		return cmp.Or(cmp.Compare(as, bs), cmp.Compare(ai, bi), cmp.Compare(a.Offset, b.Offset))
	}
	if a.Partition == b.Partition {
		return cmp.Compare(a.Offset, b.Offset)
	}
	return a.Timestamp.Compare(b.Timestamp)
}

// number reads one of our headers: an unsigned integer, big-endian, of as many bytes as it needs.
func number(r *kgo.Record, key string) (n uint64, ok bool) {
	for _, h := range r.Headers {
		if h.Key != key || len(h.Value) == 0 || len(h.Value) > 8 {
			continue
		}
		for _, b := range h.Value {
			n = n<<8 | uint64(b)
		}
		return n, true
	}
	return 0, false
}

// tailed is a record as JSON. What is no JSON is a string, or base64 if it is no text.
type tailed struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Timestamp time.Time         `json:"timestamp"`
	Headers   map[string]string `json:"headers,omitempty"`
	Key       json.RawMessage   `json:"key"`
	Value     json.RawMessage   `json:"value"`
}

func (a *app) printRecord(r *kgo.Record) error {
	if !a.json {
		_, err := fmt.Fprintln(a.stdout, readable(r))
		return err
	}
	t := tailed{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC(), Key: asJSON(r.Key), Value: asJSON(r.Value)}
	for _, h := range r.Headers {
		if t.Headers == nil {
			t.Headers = map[string]string{}
		}
		t.Headers[h.Key] = headerText(r, h)
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write record %s/%d at %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", b)
	return err
}

// headerText writes our numbers as such, and what is no text as base64.
func headerText(r *kgo.Record, h kgo.RecordHeader) string {
	switch h.Key {
	case stream.HeaderSeq, stream.HeaderIdx, stream.HeaderFlags, stream.HeaderBatch:
		if n, ok := number(r, h.Key); ok {
			return strconv.FormatUint(n, 10)
		}
	}
	if utf8.Valid(h.Value) {
		return string(h.Value)
	}
	return base64.StdEncoding.EncodeToString(h.Value)
}

func asJSON(b []byte) json.RawMessage {
	switch {
	case b == nil:
		return json.RawMessage("null")
	case json.Valid(b):
		return b
	case utf8.Valid(b):
		return json.RawMessage(strconv.Quote(string(b)))
	}
	return json.RawMessage(`"` + base64.StdEncoding.EncodeToString(b) + `"`)
}

// readable writes a record in one line for people.
func readable(r *kgo.Record) string {
	at := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
	if seq, ok := number(r, stream.HeaderSeq); ok {
		idx, _ := number(r, stream.HeaderIdx)
		at = fmt.Sprintf("%d.%d", seq, idx)
	}
	line := at + "  "
	env, ok := parseEnvelope(r.Value)
	switch {
	case r.Value == nil:
		return line + "tombstone  " + compact(r.Key)
	case !ok:
		return line + compact(r.Key) + "  " + compact(r.Value)
	}
	line += env.op + "  " + compact(r.Key) + "  "
	switch env.op {
	case "u":
		return line + env.changes()
	case "d":
		return line + compact(env.before)
	}
	return line + compact(env.after)
}

// envelope is what is shown of Debezium's.
type envelope struct {
	op            string
	before, after json.RawMessage
}

func parseEnvelope(value []byte) (envelope, bool) {
	var e struct {
		Op     string          `json:"op"`
		Before json.RawMessage `json:"before"`
		After  json.RawMessage `json:"after"`
	}
	if json.Unmarshal(value, &e) != nil || e.Op == "" {
		return envelope{}, false
	}
	return envelope{e.Op, e.Before, e.After}, true
}

// changes lists the columns that an update changed, in the table's order.
func (e envelope) changes() string {
	before, after := members(e.before), members(e.after)
	if before == nil || len(before) != len(after) {
		return compact(e.after)
	}
	var b bytes.Buffer
	for i, m := range after {
		if !bytes.Equal(m.value, before[i].value) {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s: %s -> %s", m.name, before[i].value, m.value)
		}
	}
	if b.Len() == 0 {
		return "(nothing changed)"
	}
	return b.String()
}

type member struct {
	name  string
	value json.RawMessage
}

// members returns the members of an object in their order, nil if it is none.
func members(object json.RawMessage) []member {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var out []member
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil
		}
		var v json.RawMessage
		if dec.Decode(&v) != nil {
			return nil
		}
		out = append(out, member{name, v})
	}
	return out
}

// compact writes JSON without spaces, anything else as quoted text.
func compact(b []byte) string {
	if b == nil {
		return "-"
	}
	var out bytes.Buffer
	if json.Compact(&out, b) == nil {
		return out.String()
	}
	return strconv.Quote(string(b))
}
