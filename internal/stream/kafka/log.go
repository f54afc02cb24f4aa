package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// Log implements stream.Log and stream.Trimmer. It sends its own fetches: a consumer hides where control
// records stand, and the places between records are what the protocol is about.
//
// A Log has its own connections, so that one reader's long poll does not hold up another's; it serves one
// reader at a time. Close it.
type Log struct {
	cl  *kgo.Client
	adm *kadm.Client

	leaders map[partition]int32
	unknown map[string]bool // topics that the brokers did not know when asked last
}

// NewLog returns a Log; no connection is opened yet.
func NewLog(cfg Config) (*Log, error) {
	cl, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	return &Log{cl: cl, adm: kadm.NewClient(cl), leaders: map[partition]int32{}, unknown: map[string]bool{}}, nil
}

// Close drops the connections.
func (l *Log) Close() { l.cl.Close() }

// patience is how long a Read looks for the leader of a partition before it gives up; the caller tries
// again as it sees fit.
const patience = 10 * time.Second

// Read implements stream.Log.
func (l *Log) Read(ctx context.Context, wants []stream.Want, wait time.Duration) ([]stream.Fetched, error) {
	out := make([]stream.Fetched, len(wants))
	todo := make([]int, len(wants))
	for i := range wants {
		todo[i] = i
	}
	deadline := time.Now().Add(patience)
	for backoff := 10 * time.Millisecond; ; backoff = min(2*backoff, time.Second) {
		again, err := l.round(ctx, wants, todo, wait, out)
		if err != nil || len(again) == 0 {
			return out, err
		}
		if time.Now().After(deadline) {
			w := wants[again[0]]
			if l.unknown[w.Topic] {
				return nil, fmt.Errorf("read %s[%d]: %w", w.Topic, w.Partition, stream.ErrNoTopic)
			}
			return nil, fmt.Errorf("read %s[%d] at offset %d: no broker leads the partition, or it does not answer, for %s", w.Topic, w.Partition, w.From, patience)
		}
		if err := sleep(ctx, backoff); err != nil {
			return nil, err
		}
		todo, wait = again, 0
	}
}

// round fetches the wants with the indexes todo, and returns those that have to be asked again because
// their leader moved.
func (l *Log) round(ctx context.Context, wants []stream.Want, todo []int, wait time.Duration, out []stream.Fetched) ([]int, error) {
	if err := l.lead(ctx, wants, todo); err != nil {
		return nil, err
	}
	byLeader, again := l.group(wants, todo)
	if len(byLeader) > 1 {
		wait = min(wait, 50*time.Millisecond) // who has something must not wait for who has nothing
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
		moved []int
	)
	for leader, is := range byLeader {
		wg.Go(func() {
			a, err := l.fetch(ctx, leader, wants, is, wait, out)
			mu.Lock()
			defer mu.Unlock()
			moved = append(moved, a...)
			if err != nil && first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	for _, i := range moved {
		delete(l.leaders, partition{wants[i].Topic, wants[i].Partition})
	}
	return append(again, moved...), first
}

// group sorts the wants by leader.
func (l *Log) group(wants []stream.Want, todo []int) (byLeader map[int32][]int, again []int) {
	byLeader = map[int32][]int{}
	for _, i := range todo {
		w := wants[i]
		if leader, ok := l.leaders[partition{w.Topic, w.Partition}]; ok && leader >= 0 {
			byLeader[leader] = append(byLeader[leader], i)
		} else {
			again = append(again, i)
		}
	}
	return byLeader, again
}

// lead asks for the leaders that are not known.
func (l *Log) lead(ctx context.Context, wants []stream.Want, todo []int) error {
	ask := map[string]bool{}
	for _, i := range todo {
		if leader, ok := l.leaders[partition{wants[i].Topic, wants[i].Partition}]; !ok || leader < 0 {
			ask[wants[i].Topic] = true
		}
	}
	if len(ask) == 0 {
		return nil
	}
	req := kmsg.NewPtrMetadataRequest()
	for t := range ask {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(t)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, l.cl)
	if err != nil {
		return fmt.Errorf("ask for the leaders of %d topics: %w", len(ask), err)
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		err := kerr.ErrorForCode(t.ErrorCode)
		l.unknown[*t.Topic] = errors.Is(err, kerr.UnknownTopicOrPartition)
		if err != nil && !kerr.IsRetriable(err) {
			return fmt.Errorf("ask for the leaders of %s: %w", *t.Topic, err)
		}
		for _, p := range t.Partitions {
			l.leaders[partition{*t.Topic, p.Partition}] = p.Leader
		}
	}
	return nil
}

// fetch sends one Fetch to one broker and fills in the answers.
func (l *Log) fetch(ctx context.Context, leader int32, wants []stream.Want, is []int, wait time.Duration, out []stream.Fetched) (moved []int, err error) {
	resp, err := l.request(ctx, leader, wants, is, wait)
	if err != nil {
		if ctx.Err() == nil && kgo.IsRetryableBrokerErr(err) {
			return is, nil
		}
		return nil, fmt.Errorf("fetch from broker %d: %w", leader, err)
	}
	answers := map[partition]*kmsg.FetchResponseTopicPartition{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			answers[partition{t.Topic, t.Partitions[j].Partition}] = &t.Partitions[j]
		}
	}
	for _, i := range is {
		w := wants[i]
		a := answers[partition{w.Topic, w.Partition}]
		if a == nil { // a broker may leave out what no room was left for
			moved = append(moved, i)
			continue
		}
		switch err := kerr.ErrorForCode(a.ErrorCode); {
		case errors.Is(err, kerr.OffsetOutOfRange):
			b, err := l.Bounds(ctx, []wire.Part{{Topic: w.Topic, Partition: w.Partition}})
			if err != nil {
				return nil, err
			}
			out[i] = stream.Fetched{Next: w.From, Bounds: b[0]}
		case err != nil && kerr.IsRetriable(err):
			moved = append(moved, i)
		case err != nil:
			return nil, fmt.Errorf("read %s[%d] at offset %d: %w", w.Topic, w.Partition, w.From, err)
		default:
			if out[i], err = decode(w, a); err != nil {
				return nil, err
			}
		}
	}
	return moved, nil
}

func (l *Log) request(ctx context.Context, leader int32, wants []stream.Want, is []int, wait time.Duration) (*kmsg.FetchResponse, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(wait.Milliseconds())
	req.MinBytes = 1
	req.IsolationLevel = 1
	req.SessionEpoch = -1
	topics := map[string]int{}
	for _, i := range is {
		w := wants[i]
		at, ok := topics[w.Topic]
		if !ok {
			at = len(req.Topics)
			topics[w.Topic] = at
			t := kmsg.NewFetchRequestTopic()
			t.Topic = w.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = w.Partition, w.From, w.MaxBytes
		p.CurrentLeaderEpoch, p.LogStartOffset = -1, -1
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, p)
	}
	req.MaxBytes = 1 << 30 // the partitions' limits count; a whole that is too small makes kfake leave some out
	resp, err := l.cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	r, ok := resp.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("answered a fetch with %T", resp)
	}
	return r, kerr.ErrorForCode(r.ErrorCode)
}

// decode unpacks one partition's answer.
func decode(w stream.Want, a *kmsg.FetchResponseTopicPartition) (stream.Fetched, error) {
	opts := kgo.ProcessFetchPartitionOpts{Topic: w.Topic, Partition: w.Partition, Offset: w.From, IsolationLevel: kgo.ReadCommitted()}
	fp, next := kgo.ProcessFetchPartition(opts, a, kgo.DefaultDecompressor(), nil)
	if fp.Err != nil {
		return stream.Fetched{}, fmt.Errorf("read %s[%d] at offset %d: %w", w.Topic, w.Partition, w.From, fp.Err)
	}
	f := stream.Fetched{Next: next, Bounds: stream.Bounds{Start: a.LogStartOffset, Stable: a.LastStableOffset, End: a.HighWatermark}}
	f.Records = make([]stream.Entry, len(fp.Records))
	for i, r := range fp.Records {
		e := stream.Entry{Offset: r.Offset, Key: r.Key, Value: r.Value, Millis: r.Timestamp.UnixMilli()}
		if len(r.Headers) > 0 {
			e.Headers = make([]stream.Header, len(r.Headers))
			for j, h := range r.Headers {
				e.Headers[j] = stream.Header(h)
			}
		}
		f.Records[i] = e
	}
	return f, nil
}

// Trim implements stream.Trimmer with DeleteRecords.
func (l *Log) Trim(ctx context.Context, parts []wire.Part) error {
	var os kadm.Offsets
	for _, p := range parts {
		os.Add(kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: p.Next, LeaderEpoch: -1})
	}
	if len(os) == 0 {
		return nil
	}
	rs, err := l.adm.DeleteRecords(ctx, os)
	if err != nil {
		return fmt.Errorf("trim %d partitions: %w", len(parts), err)
	}
	for _, t := range rs {
		for _, r := range t {
			// Somebody else trimmed further: fine.
			if r.Err != nil && !errors.Is(r.Err, kerr.OffsetOutOfRange) {
				return fmt.Errorf("trim %s[%d]: %w", r.Topic, r.Partition, r.Err)
			}
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
