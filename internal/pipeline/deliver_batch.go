package pipeline

import (
	"context"
	"iter"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
)

// batch makes whole units of records one Batch, readable again from its start.
func (d *Deliver) batch(recs []*stream.Record) *change.Batch {
	first, last := recs[0], recs[len(recs)-1]
	b := &change.Batch{
		Stream: d.cfg.Stream, Kind: first.Progress.Kind, From: first.Progress.SeqFrom, To: last.Progress.SeqTo,
		Mark: last.Mark, CommitMicros: last.Progress.CommitMicros, Cover: first.Progress.Cover, Tables: first.Progress.Tables,
	}
	for _, r := range recs {
		d.shapes.announce(r.Progress)
		b.Rows += int(r.Rows)
		if r.Progress.Kind == change.Changes {
			b.Kind = change.Changes // also behind an idle record
		}
	}
	if b.Rows == 0 {
		return b
	}
	shapes := d.shapes
	b.Open = func(ctx context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for _, r := range recs {
				for ev, err := range shapes.events(ctx, r) {
					if !yield(ev, err) || err != nil {
						return
					}
				}
			}
		}
	}
	return b
}

// announceWhatIsThere makes a batch hold what can be read of it now.
func announceWhatIsThere(ctx context.Context, b *change.Batch) error {
	if b.Rows == 0 {
		return nil
	}
	var there []change.Event
	for ev, err := range b.Open(ctx) {
		if err != nil {
			return err
		}
		there = append(there, ev)
	}
	b.Rows = len(there)
	b.Open = func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for _, ev := range there {
				if !yield(ev, nil) {
					return
				}
			}
		}
	}
	return nil
}
