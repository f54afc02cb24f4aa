package memlog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// Producer is a transactional producer; it implements stream.Producer.
type Producer struct {
	b     *Broker
	id    string
	epoch int
	t     *txn
}

// Producer returns a producer with a transactional id. A second one with the same id fences it.
func (b *Broker) Producer(transactionalID string) *Producer {
	return &Producer{b: b, id: transactionalID}
}

// Init implements stream.Producer.
func (p *Producer) Init(ctx context.Context) error {
	p.t = nil
	for {
		if err := p.b.call(ctx, "init"); err != nil {
			return err
		}
		if p.init() {
			return p.b.call(ctx, "init.done")
		}
		if p.b.OnCall == nil {
			p.b.Marker(first)
		}
	}
}

// init is one InitProducerID; false is CONCURRENT_TRANSACTIONS.
func (p *Producer) init() bool {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.txns[p.id]; t != nil && t.state != ended {
		if t.state == open {
			t.state = aborting
			b.epochs[p.id]++
			b.mark(t, first)
		}
		if t.state != ended {
			return false
		}
	}
	b.epochs[p.id]++
	p.epoch = b.epochs[p.id]
	delete(b.broken, p.id)
	return true
}

// Produce implements stream.Producer.
func (p *Producer) Produce(ctx context.Context, m *stream.Message) error {
	for {
		if err := p.b.call(ctx, "produce"); err != nil {
			return err
		}
		done, err := p.produce(m)
		if err != nil {
			return fmt.Errorf("produce to %s: %w", m.Topic, err)
		}
		if done {
			return p.b.call(ctx, "produce.done")
		}
		if p.b.OnCall == nil {
			p.b.Marker(first)
		}
	}
}

func (p *Producer) produce(m *stream.Message) (bool, error) {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := p.alive(); err != nil {
		return false, err
	}
	if p.t == nil {
		if t := b.txns[p.id]; t != nil && t.state != ended {
			return false, nil // the markers of the one before are not written yet
		}
		b.last++
		p.t = &txn{id: b.last, parts: map[*part]*wire.Part{}}
		b.txns[p.id] = p.t
	}
	ps := b.topics[m.Topic]
	if len(ps) == 0 {
		return false, fmt.Errorf("no such topic: %w", stream.ErrRestart)
	}
	to := ps[stream.Partition(m.Key, m.Value, int32(len(ps)))]
	at := to.end()
	if _, ok := p.t.parts[to]; !ok {
		p.t.parts[to] = &wire.Part{Topic: to.topic, Partition: to.number, From: at}
		p.t.pending = append(p.t.pending, to)
		to.open[p.t.id] = at
	}
	e := stream.Entry{Offset: at, Key: m.Key, Value: m.Value, Headers: m.Headers}
	if b.Now != nil {
		e.Millis = b.Now().UnixMilli()
	}
	to.log = append(to.log, record{txn: p.t.id, entry: e})
	r := p.t.parts[to]
	r.Next = at + 1
	r.Count++
	if m.Value == nil {
		r.Tombstones++
	}
	return true, nil
}

// alive reports why this producer may not write; b.mu is held.
func (p *Producer) alive() error {
	switch {
	case p.epoch == 0:
		return fmt.Errorf("%s is not initialised: %w", p.id, stream.ErrRestart)
	case p.epoch != p.b.epochs[p.id]:
		return fmt.Errorf("epoch %d of %s is over: %w", p.epoch, p.id, stream.ErrFenced)
	case p.b.broken[p.id]:
		return fmt.Errorf("the log does not end where %s left it: %w", p.id, stream.ErrRestart)
	case p.t != nil && p.t.state != open:
		return fmt.Errorf("the transaction of %s was ended: %w", p.id, stream.ErrFenced)
	}
	return nil
}

// Flush implements stream.Producer.
func (p *Producer) Flush(ctx context.Context) ([]wire.Part, error) {
	if err := p.b.call(ctx, "flush"); err != nil {
		return nil, err
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if err := p.alive(); err != nil {
		return nil, err
	}
	var out []wire.Part
	if p.t != nil {
		for _, q := range p.t.parts {
			out = append(out, *q)
		}
	}
	slices.SortFunc(out, func(a, b wire.Part) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return out, nil
}

// End implements stream.Producer. Markers come later, one by one.
func (p *Producer) End(ctx context.Context, commit bool) error {
	if err := p.b.call(ctx, "end"); err != nil {
		//nolint:errorlint // whatever it was, the outcome is unknown: that alone is to be acted on
		return fmt.Errorf("end the transaction of %s: %v: %w", p.id, err, stream.ErrUnknownOutcome)
	}
	if err := p.end(commit); err != nil {
		return fmt.Errorf("end the transaction of %s: %w", p.id, err)
	}
	if err := p.b.call(ctx, "end.done"); err != nil {
		//nolint:errorlint // whatever it was, the outcome is unknown: that alone is to be acted on
		return fmt.Errorf("end the transaction of %s: %v: %w", p.id, err, stream.ErrUnknownOutcome)
	}
	return nil
}

func (p *Producer) end(commit bool) error {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := p.alive(); err != nil {
		return err
	}
	if p.t == nil {
		if commit {
			return fmt.Errorf("%w: %w", errNoTransaction, stream.ErrRestart)
		}
		return nil
	}
	p.t.state = aborting
	if commit {
		p.t.state = committing
	}
	p.t = nil
	b.notify()
	return nil
}
