package sinks

import (
	"context"
	"iter"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Spelled returns a sink that spells the columns of whatever it is given before the sink behind it sees them:
// targets' shapes, batches' shapes, and those of their rows. Rows are lists of values and stay as they are. The
// names of targets' tables are whoever made the targets' concern.
func Spelled(s Sink, n Names) Sink {
	if n == KeepNames {
		return s
	}
	return &spelled{Sink: s, names: n, shapes: map[*change.Table]*change.Table{}}
}

// spelled remembers the shapes that it was given, so that each has one copy.
type spelled struct {
	Sink
	names  Names
	shapes map[*change.Table]*change.Table
}

// mostShapes bounds the copies that are remembered; a caller that makes a shape per event must not grow them.
const mostShapes = 4096

func (s *spelled) shape(t *change.Table) (*change.Table, error) {
	if spelt := s.shapes[t]; spelt != nil || t == nil {
		return spelt, nil
	}
	spelt, err := s.names.Table(t)
	if err != nil {
		return nil, err
	}
	if len(s.shapes) >= mostShapes {
		clear(s.shapes)
	}
	s.shapes[t] = spelt
	return spelt, nil
}

// Prepare implements Sink.
func (s *spelled) Prepare(ctx context.Context, stream string, targets []Target) error {
	spelt := make([]Target, len(targets))
	for i, t := range targets {
		var err error
		if t.Table, err = s.shape(t.Table); err != nil {
			return OfTarget(t.From, err)
		}
		spelt[i] = t
	}
	return s.Sink.Prepare(ctx, stream, spelt)
}

// Apply implements Sink.
func (s *spelled) Apply(ctx context.Context, b *change.Batch) error {
	next, err := s.batch(b)
	if err != nil {
		return err
	}
	return s.Sink.Apply(ctx, next)
}

// Encoder implements Encoder. What is encoded ahead has shapes of its own: those of Apply are its goroutine's.
func (s *spelled) Encoder(stream string) func(context.Context, *change.Batch) any {
	e, ok := s.Sink.(Encoder)
	if !ok {
		return nil
	}
	encode := e.Encoder(stream)
	if encode == nil {
		return nil
	}
	own := &spelled{names: s.names, shapes: map[*change.Table]*change.Table{}}
	return func(ctx context.Context, b *change.Batch) any {
		next, err := own.batch(b)
		if err != nil {
			return nil
		}
		return encode(ctx, next)
	}
}

func (s *spelled) batch(b *change.Batch) (*change.Batch, error) {
	next := *b
	next.Tables = make([]*change.Table, len(b.Tables))
	for i, t := range b.Tables {
		var err error
		if next.Tables[i], err = s.shape(t); err != nil {
			return nil, OfTarget(t.ID.String(), err)
		}
	}
	if b.Open != nil {
		next.Open = func(ctx context.Context) iter.Seq2[change.Event, error] { return s.events(b.Open(ctx)) }
	}
	return &next, nil
}

func (s *spelled) events(events iter.Seq2[change.Event, error]) iter.Seq2[change.Event, error] {
	return func(yield func(change.Event, error) bool) {
		for ev, err := range events {
			if err == nil {
				ev.Table, err = s.shape(ev.Table)
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// Boundaries implements Boundaries; of a sink that cannot tell every table follows the stream.
func (s *spelled) Boundaries(ctx context.Context, stream string) (map[string]TableState, error) {
	b, ok := s.Sink.(Boundaries)
	if !ok {
		return nil, nil
	}
	return b.Boundaries(ctx, stream)
}
