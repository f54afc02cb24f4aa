package sinks_test

import (
	"context"
	"iter"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// listener notes what it is asked to encode and what comes with a batch.
type listener struct {
	sinks.Sink
	stream, column string
	got            any
}

func (l *listener) Encoder(stream string) func(context.Context, *change.Batch) any {
	l.stream = stream
	return func(ctx context.Context, b *change.Batch) any {
		for ev, err := range b.Events(ctx) {
			if err != nil {
				return err
			}
			l.column = ev.Table.Columns[0].Name
		}
		return "encoded"
	}
}

func (l *listener) Apply(_ context.Context, b *change.Batch) error {
	l.got = b.Encoded
	return nil
}

// A sink that spells names has batches encoded ahead as the sink behind it does, and in the names that it has.
func TestSpelledEncodesAhead(t *testing.T) {
	behind := &listener{}
	s := sinks.Spelled(behind, sinks.SnakeCase)
	b := &change.Batch{Stream: "s", Rows: 1, Open: func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) { yield(change.Event{Table: columns("OrderId")}, nil) }
	}}
	b.Encoded = s.(sinks.Encoder).Encoder("s")(t.Context(), b)
	if err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if behind.stream != "s" || behind.column != "order_id" || behind.got != "encoded" {
		t.Errorf("stream %q, column %q, applied with %v", behind.stream, behind.column, behind.got)
	}
	if encode := sinks.Spelled(struct{ sinks.Sink }{}, sinks.SnakeCase).(sinks.Encoder).Encoder("s"); encode != nil {
		t.Error("a sink that encodes nothing ahead does behind one that spells names")
	}
}
