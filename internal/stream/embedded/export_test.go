package embedded

import (
	"context"

	"github.com/etlsandbox/cdc/schemas/wire"
)

// Tend does now what Run does every second.
func (b *Broker) Tend(ctx context.Context) error { return b.tend(ctx) }

// Ledger is the arithmetic of a broker's room without the broker: what Run does with the records that it follows.
type Ledger struct{ b *Broker }

// NewLedger returns the ledger of a broker in an empty folder that keeps these streams.
func NewLedger(cfg Config, streams ...Stream) (*Ledger, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	l := &Ledger{b: &Broker{cfg: cfg}}
	for _, s := range streams {
		l.b.keepers = append(l.b.keepers, &keeper{stream: s, cur: point{ends: map[where]int64{}}})
	}
	return l, nil
}

// Add takes in a progress record of the nth stream, at an offset of its topic.
func (l *Ledger) Add(n int, p *wire.Progress, offset int64) { l.b.keepers[n].add(p, offset, 0) }

// Tend measures the Fill, and reports whether anything would be trimmed.
func (l *Ledger) Tend() (fill float64, trims bool, err error) {
	use, err := l.b.measure()
	return l.b.Fill(), err == nil && l.b.oldest(use) != nil, err
}
