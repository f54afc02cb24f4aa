package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/schemas/wire"
)

// Await is Peek that waits at most so long for a record: nil if there is none by then.
func (r *Reader) Await(ctx context.Context, wait time.Duration) (*Record, error) {
	return r.advance(ctx, wait)
}

// ReadMeta reads the content of a stream's meta topic as far as it is readable now.
func ReadMeta(ctx context.Context, log Log, name string) (*wire.Meta, error) {
	topic := MetaTopic(name)
	b, err := log.Bounds(ctx, []wire.Part{{Topic: topic}})
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", topic, err)
	}
	m := wire.NewMeta()
	err = scan(ctx, log, topic, b[0].Start, b[0].Stable, func(e *Entry) error {
		return m.Apply(wire.MetaRecord{Key: string(e.Key), Value: e.Value})
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return m, nil
}
