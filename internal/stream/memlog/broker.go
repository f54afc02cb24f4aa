// Package memlog is a broker in memory that behaves as Kafka does where it matters to streams:
// transactions whose commit markers reach partitions one by one, fencing by epoch, offsets that control
// records take, trimming, and power cuts that lose the tails of partitions, together or each at its own
// place. It is deterministic: the same calls give the same log.
package memlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// Broker is the broker. Its zero value is not usable; see New. All methods are safe for use by several
// goroutines; what happens then is as deterministic as their order.
type Broker struct {
	mu      sync.Mutex
	topics  map[string][]*part
	txns    map[string]*txn // by transactional id, the newest
	epochs  map[string]int
	broken  map[string]bool // producers that met a power cut
	last    int             // number of transactions begun
	changed chan struct{}   // closed at every change

	// OnCall, if set, is called without locks before each call of a Producer or a Log, and once more with
	// ".done" appended when its effect has happened. A simulation parks the caller there; an error is what
	// the caller gets (of a commit's: stream.ErrUnknownOutcome, whatever it is). With OnCall set, markers move
	// only by Marker; without, a call that needs them moves them.
	OnCall func(ctx context.Context, call string) error
	// Now stamps records. Default: a clock that stands still.
	Now func() time.Time
}

type part struct {
	topic  string
	number int32
	log    []record // log[i] has offset base+i
	base   int64
	start  int64
	synced int64
	open   map[int]int64 // open transaction -> its first offset here
	done   map[int]bool  // transaction -> committed
}

type record struct {
	txn     int
	control bool
	entry   stream.Entry
}

type state uint8

const (
	open state = iota
	committing
	aborting
	ended
)

type txn struct {
	id      int
	state   state
	pending []*part // without marker
	parts   map[*part]*wire.Part
}

// New returns a broker without topics.
func New() *Broker {
	return &Broker{
		topics: map[string][]*part{}, txns: map[string]*txn{}, epochs: map[string]int{}, broken: map[string]bool{},
		changed: make(chan struct{}),
	}
}

// CreateTopic adds a topic, or partitions to one.
func (b *Broker) CreateTopic(name string, partitions int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.topics[name]); i < partitions; i++ {
		b.topics[name] = append(b.topics[name], &part{topic: name, number: int32(i), open: map[int]int64{}, done: map[int]bool{}})
	}
}

// DeleteTopic drops a topic; created again it begins at offset 0.
func (b *Broker) DeleteTopic(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.topics, name)
	b.notify()
}

// Marker writes one commit or abort marker: choose picks one of n. It reports whether there was one.
func (b *Broker) Marker(choose func(n int) int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range sortedKeys(b.txns) {
		if t := b.txns[id]; t.state == committing || t.state == aborting {
			b.mark(t, choose)
			return true
		}
	}
	return false
}

func (b *Broker) mark(t *txn, choose func(int) int) {
	if len(t.pending) > 0 {
		i := choose(len(t.pending))
		t.pending[i].mark(t)
		t.pending = slices.Delete(t.pending, i, i+1)
	}
	if len(t.pending) == 0 {
		t.state = ended
	}
	b.notify()
}

func (p *part) mark(t *txn) {
	p.log = append(p.log, record{txn: t.id, control: true})
	p.done[t.id] = t.state == committing
	delete(p.open, t.id)
}

// Sync makes everything stable so far survive a power cut.
func (b *Broker) Sync() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each(func(p *part) { p.synced = p.stable() })
}

// PowerCut loses the unsynced tails of up to depth transactions: of all partitions behind the same one, or,
// apart, of each behind its own. Transactions on their way are ended first; producers have to start again.
func (b *Broker) PowerCut(choose func(n int) int, apart bool, depth int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range sortedKeys(b.txns) {
		t := b.txns[id]
		if t.state == open {
			t.state = aborting
		}
		if t.state != ended {
			for _, p := range t.pending {
				p.mark(t)
			}
			t.state, t.pending = ended, nil
		}
		b.broken[id] = true
	}
	keep := b.last - choose(depth)
	b.each(func(p *part) {
		k := keep
		if apart {
			k = b.last - choose(depth)
		}
		n := p.end()
		for n > max(p.synced, p.start) && p.log[n-p.base-1].txn > k {
			n--
		}
		p.log = p.log[:n-p.base]
	})
	b.notify()
}

// Trim drops what lies before the offsets.
func (b *Broker) Trim(ctx context.Context, parts []wire.Part) error {
	if err := b.call(ctx, "trim"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range parts {
		p := b.part(q.Topic, q.Partition)
		if p == nil {
			return fmt.Errorf("trim %s[%d]: no such partition", q.Topic, q.Partition)
		}
		if q.Next > p.end() {
			return fmt.Errorf("trim %s[%d] to offset %d: it ends at %d", q.Topic, q.Partition, q.Next, p.end())
		}
		p.start = max(p.start, q.Next)
		p.log = p.log[p.start-p.base:]
		p.base = p.start
		p.synced = max(p.synced, p.start)
	}
	b.notify()
	return nil
}

// Read implements stream.Log.
func (b *Broker) Read(ctx context.Context, wants []stream.Want, wait time.Duration) ([]stream.Fetched, error) {
	if err := b.call(ctx, "read"); err != nil {
		return nil, err
	}
	out, some, changed, err := b.read(wants)
	for b.OnCall == nil && !some && err == nil && b.Marker(first) {
		out, some, changed, err = b.read(wants)
	}
	if err != nil {
		return nil, err
	}
	if some || wait == 0 || b.OnCall != nil {
		return out, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	case <-changed:
	}
	out, _, _, err = b.read(wants)
	return out, err
}

func (b *Broker) read(wants []stream.Want) (out []stream.Fetched, some bool, changed chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range wants {
		p := b.part(w.Topic, w.Partition)
		if p == nil {
			return nil, false, nil, fmt.Errorf("read %s[%d]: %w", w.Topic, w.Partition, stream.ErrNoTopic)
		}
		f := p.read(w)
		some = some || len(f.Records) > 0 || f.Next > w.From || f.Next < f.Bounds.Start || f.Next > f.Bounds.End
		out = append(out, f)
	}
	return out, some, b.changed, nil
}

func (p *part) read(w stream.Want) stream.Fetched {
	f := stream.Fetched{Next: w.From, Bounds: p.bounds()}
	size := 0
	for o := w.From; o >= p.start && o < f.Bounds.Stable && size < int(w.MaxBytes); o++ {
		r := p.log[o-p.base]
		if !r.control && p.done[r.txn] {
			f.Records = append(f.Records, r.entry)
			size += len(r.entry.Key) + len(r.entry.Value)
		}
		f.Next = o + 1
	}
	return f
}

// Bounds implements stream.Log.
func (b *Broker) Bounds(ctx context.Context, parts []wire.Part) ([]stream.Bounds, error) {
	if err := b.call(ctx, "bounds"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]stream.Bounds, len(parts))
	for i, q := range parts {
		p := b.part(q.Topic, q.Partition)
		if p == nil {
			return nil, fmt.Errorf("find the bounds of %s[%d]: %w", q.Topic, q.Partition, stream.ErrNoTopic)
		}
		out[i] = p.bounds()
	}
	return out, nil
}

func (p *part) end() int64 { return p.base + int64(len(p.log)) }

func (p *part) stable() int64 {
	s := p.end()
	for _, o := range p.open {
		s = min(s, o)
	}
	return s
}

func (p *part) bounds() stream.Bounds {
	return stream.Bounds{Start: p.start, Stable: p.stable(), End: p.end()}
}

func (b *Broker) part(topic string, n int32) *part {
	if ps := b.topics[topic]; int(n) < len(ps) && n >= 0 {
		return ps[n]
	}
	return nil
}

func (b *Broker) each(f func(*part)) {
	for _, t := range sortedKeys(b.topics) {
		for _, p := range b.topics[t] {
			f(p)
		}
	}
}

func (b *Broker) call(ctx context.Context, what string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.OnCall == nil {
		return nil
	}
	return b.OnCall(ctx, what)
}

// notify wakes whoever waits; b.mu is held.
func (b *Broker) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func first(int) int { return 0 }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var errNoTransaction = errors.New("no transaction is open")
