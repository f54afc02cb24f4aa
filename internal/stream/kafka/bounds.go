package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// Timestamps that mean a place in ListOffsets.
const (
	atEnd   = -1
	atStart = -2
)

// Bounds implements stream.Log.
func (l *Log) Bounds(ctx context.Context, parts []wire.Part) ([]stream.Bounds, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	deadline := time.Now().Add(patience)
	for backoff := 20 * time.Millisecond; ; backoff = min(2*backoff, time.Second) {
		out, err := l.bounds(ctx, parts)
		// A broker that has just started may not know its topics yet.
		if err == nil || !kerr.IsRetriable(err) || time.Now().After(deadline) {
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				err = fmt.Errorf("%w: %w", stream.ErrNoTopic, err)
			}
			return out, err
		}
		if err := sleep(ctx, backoff); err != nil {
			return nil, err
		}
	}
}

func (l *Log) bounds(ctx context.Context, parts []wire.Part) ([]stream.Bounds, error) {
	ends, err := l.offsets(ctx, parts, 0, atEnd)
	if err != nil {
		return nil, err
	}
	stable, err := l.offsets(ctx, parts, 1, atEnd)
	if err != nil {
		return nil, err
	}
	starts, err := l.offsets(ctx, parts, 0, atStart)
	if err != nil {
		return nil, err
	}
	out := make([]stream.Bounds, len(parts))
	for i, p := range parts {
		at := partition{p.Topic, p.Partition}
		// The end was asked for first: it may have moved.
		out[i] = stream.Bounds{Start: starts[at], Stable: stable[at], End: max(ends[at], stable[at])}
	}
	return out, nil
}

// offsets asks the leaders for one place of each partition.
func (l *Log) offsets(ctx context.Context, parts []wire.Part, isolation int8, place int64) (map[partition]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	topics := map[string]int{}
	for _, p := range parts {
		at, ok := topics[p.Topic]
		if !ok {
			at = len(req.Topics)
			topics[p.Topic] = at
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.Topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p.Partition, place, -1
		req.Topics[at].Partitions = append(req.Topics[at].Partitions, rp)
	}
	out := map[partition]int64{}
	for _, shard := range l.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("find the bounds of %d partitions: %w", len(parts), shard.Err)
		}
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if !ok {
			return nil, fmt.Errorf("find the bounds of %d partitions: answered with %T", len(parts), shard.Resp)
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("find the bounds of %s[%d]: %w", t.Topic, p.Partition, err)
				}
				out[partition{t.Topic, p.Partition}] = p.Offset
			}
		}
	}
	for _, p := range parts {
		if _, ok := out[partition{p.Topic, p.Partition}]; !ok {
			return nil, fmt.Errorf("find the bounds of %s[%d]: nobody answered for it: %w", p.Topic, p.Partition, kerr.UnknownTopicOrPartition)
		}
	}
	return out, nil
}
