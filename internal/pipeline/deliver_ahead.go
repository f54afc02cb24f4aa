package pipeline

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// prepared is a batch of transactions that is read, and decoded as far as it fits into memory, while the one
// before it is with the destination. One that is full is also encoded for it.
type prepared struct {
	recs   []*stream.Record
	began  time.Time
	events []change.Event
	bytes  int
	// spilled says that it does not fit: it is read from the stream when it is applied, and nothing else is
	// read meanwhile.
	spilled bool
	full    bool          // nothing further is added
	batch   *change.Batch // of all of it, encoded; nil unless it is full
}

// overlap applies a batch while the next one is read and decoded. Covers and changes of shape go one by one.
func (d *Deliver) overlap(ctx context.Context) error {
	p := d.ahead
	d.ahead = nil
	if p == nil {
		rec, err := d.in.Await(ctx, d.cfg.PollEvery)
		if err != nil {
			return err
		}
		if rec == nil {
			if d.quiet != nil && d.idled() {
				return d.put(ctx, d.quiet)
			}
			return nil
		}
		if !joins(rec) {
			return d.next(ctx)
		}
		p = &prepared{}
	}
	b := p.batch
	if b == nil {
		if err := d.fillUp(ctx, p); err != nil {
			return err
		}
		b = d.batch(p.recs)
	}
	if b.Rows == 0 && !d.idled() {
		d.quiet = b
		return nil
	}
	if p.spilled {
		return d.put(ctx, b)
	}
	if b.Rows > 0 {
		b.Open = p.open
	}
	var ahead *prepared
	var failed error
	var encode func(context.Context, *change.Batch) any
	if e, ok := d.d.Sink.(sinks.Encoder); ok {
		encode = e.Encoder(d.cfg.Stream)
	}
	var reading sync.WaitGroup
	reading.Go(func() { ahead, failed = d.readAhead(ctx, encode) })
	err := d.put(ctx, b)
	reading.Wait()
	if err != nil {
		return err // the stage starts again, from where the destination then is
	}
	d.ahead = ahead
	return failed
}

// readAhead reads the next batch, if it comes soon, and encodes it. It runs beside put, which touches neither the
// reader nor the shapes.
func (d *Deliver) readAhead(ctx context.Context, encode func(context.Context, *change.Batch) any) (*prepared, error) {
	rec, err := d.in.Await(ctx, d.cfg.PollEvery)
	if err != nil || rec == nil || !joins(rec) {
		return nil, err
	}
	p := &prepared{}
	if err := d.fillUp(ctx, p); err != nil {
		return nil, err
	}
	if encode != nil && p.full && !p.spilled {
		d.encode(ctx, p, encode)
	}
	return p, nil
}

// encode has a full batch encoded as the destination will have it, unless contracts have a say in that: what they tell
// is told when it is applied.
func (d *Deliver) encode(ctx context.Context, p *prepared, encode func(context.Context, *change.Batch) any) {
	b := d.batch(p.recs)
	if b.Rows == 0 {
		return
	}
	b.Open = p.open
	if d.cfg.Checked(b) == b {
		b.Encoded = encode(ctx, b)
	}
	p.batch = b
}

// fillUp adds transactions that are there already, or come within the configured delay, until as much is held as may be:
// what only a further transaction would make too large is applied without it.
func (d *Deliver) fillUp(ctx context.Context, p *prepared) error {
	had := len(p.recs)
	if had == 0 {
		p.began = d.d.Clock.Now()
		rec, err := d.in.TryNext(ctx)
		if err != nil {
			return err
		}
		p.recs = append(p.recs, rec)
	}
	decoded := had
	room := func(recs []*stream.Record) (bool, error) {
		for ; decoded < len(recs); decoded++ {
			if err := d.decode(ctx, p, recs[decoded]); err != nil {
				return false, err
			}
		}
		return p.bytes < d.cfg.Ahead-d.cfg.Ahead/4, nil // the rest is for the last transaction
	}
	recs, err := d.more(ctx, p.recs, p.began, room)
	if err != nil {
		return err
	}
	p.recs = recs
	more, err := room(recs)
	rows := int64(0)
	for _, r := range recs {
		rows += r.Rows
	}
	p.full = !more || rows >= int64(d.cfg.Batch().MaxRows)
	return err
}

// decode adds a record's events, unless the batch has become too large to be held.
func (d *Deliver) decode(ctx context.Context, p *prepared, rec *stream.Record) error {
	if p.spilled || rec.Rows == 0 {
		return nil
	}
	for ev, err := range d.shapes.events(ctx, rec) {
		if err != nil {
			return err
		}
		p.bytes += ev.Before.MemSize() + ev.After.MemSize()
		if p.bytes > d.cfg.Ahead {
			p.spilled, p.events = true, nil
			return nil
		}
		p.events = append(p.events, ev)
	}
	return nil
}

// open iterates over what is held.
func (p *prepared) open(context.Context) iter.Seq2[change.Event, error] {
	return func(yield func(change.Event, error) bool) {
		for _, ev := range p.events {
			if !yield(ev, nil) {
				return
			}
		}
	}
}
