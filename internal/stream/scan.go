package stream

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/wire"
)

// scan hands over the committed records of a single-partition topic in [from, to).
func scan(ctx context.Context, log Log, topic string, from, to int64, each func(*Entry) error) error {
	for from < to {
		got, err := log.Read(ctx, []Want{{Topic: topic, From: from, MaxBytes: 1 << 20}}, pollWait)
		if err != nil {
			return err
		}
		f := got[0]
		for i := range f.Records {
			if f.Records[i].Offset >= to {
				return nil
			}
			if err := each(&f.Records[i]); err != nil {
				return fmt.Errorf("read %s at offset %d: %w", topic, f.Records[i].Offset, err)
			}
		}
		switch {
		case f.Next > from:
			from = f.Next
		case f.Bounds.Start > from: // trimmed meanwhile
			from = f.Bounds.Start
		case f.Bounds.End < to:
			return &GoneError{Topic: topic, Offset: from, Reason: fmt.Sprintf("the log ended at offset %d, now at %d: it was cut", to, f.Bounds.End)}
		}
	}
	return nil
}

func decodeProgress(topic string, e *Entry) (*wire.Progress, error) {
	p, err := wire.DecodeProgress(e.Value)
	if err != nil {
		return nil, fmt.Errorf("read %s at offset %d: %w", topic, e.Offset, err)
	}
	return p, nil
}

// lastEntry finds the last committed record of a single-partition topic that holds, by reading backwards in
// steps that grow; nil if there is none.
func lastEntry(ctx context.Context, log Log, topic string, b Bounds, holds func(*Entry) bool) (*Entry, error) {
	to := b.Stable
	for step := int64(16); to > b.Start; step *= 8 {
		from := max(b.Start, to-step)
		var last *Entry
		err := scan(ctx, log, topic, from, to, func(e *Entry) error {
			if holds(e) {
				last = e
			}
			return nil
		})
		if err != nil || last != nil {
			return last, err
		}
		to = from
	}
	return nil, nil
}
