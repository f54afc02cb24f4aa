package sample

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Mode chooses what a load may do.
type Mode int

const (
	// Mixed does everything. Only the ledger's total stays what it was.
	Mixed Mode = iota
	// KeepSum does only what keeps the total over all rows of the sample's view at
	// every commit: transfers between rows of the join, changes of keys and names, rows
	// that add nothing. No other writer may be at work.
	KeepSum
	// TransfersOnly moves amounts within the ledger and does nothing else.
	TransfersOnly
)

// LoadOptions says what a Load does. The zero value is a mixed load of four workers at
// full speed until its context ends.
type LoadOptions struct {
	// Seed decides what each worker does, in which order.
	Seed int64
	// Workers is the number of connections that write at the same time; 0 means 4.
	Workers int
	// RatePerSecond is the number of transactions per second of all workers together;
	// 0 means as many as the server takes.
	RatePerSecond float64
	// Pacer, if not nil, takes the place of RatePerSecond.
	Pacer Pacer
	// Transactions ends the load after so many; 0 means when the context ends.
	Transactions int64
	// Mode restricts what is done.
	Mode Mode
}

// Stats counts what a load has done.
type Stats struct {
	// Transactions is the number of committed transactions, Rows that of the rows that
	// the server says their statements affected (cascades not among them).
	Transactions, Rows int64
	// RolledBack transactions were meant to be. Skipped ones found nothing to do, or the
	// server refused them for a foreign key or a duplicate key more often than is
	// worth trying.
	RolledBack, Skipped int64
	// Retries were forced by deadlocks, lock waits, duplicate keys or foreign keys;
	// Reconnects by lost connections.
	Retries, Reconnects int64
	// Kinds is the number of committed transactions of each kind.
	Kinds map[string]int64
	// Elapsed is the time since Run began, until it returned.
	Elapsed time.Duration
}

// PerSecond is the rate of affected rows.
func (s Stats) PerSecond() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Rows) / s.Elapsed.Seconds()
}

// kind is one sort of transaction. run does it once, in a transaction of its own; its
// errors say whether it is worth another try (see outcome).
type kind struct {
	name   string
	weight int
	run    func(ctx context.Context, w *worker) error
}

// Load writes to a sample schema. It is used once.
type Load struct {
	db     *sql.DB
	schema string
	o      LoadOptions
	kinds  []kind
	weight int // sum over kinds
	left   atomic.Int64

	freshMu sync.Mutex
	fresh   map[string]int64 // the newest key given to a row of each table

	mu    sync.Mutex
	stats Stats
	began time.Time
	ended time.Time
}

// NewLoad prepares a load on a Sakila schema that Create made and Seed filled. db should
// allow at least as many connections as there are workers; interpolateParams=true in its
// DSN saves two of three round trips.
func NewLoad(db *sql.DB, schema string, o LoadOptions) *Load {
	return newLoad(db, schema, o, sakilaKinds(o.Mode))
}

func newLoad(db *sql.DB, schema string, o LoadOptions, kinds []kind) *Load {
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Pacer == nil {
		o.Pacer = NewPacer(o.RatePerSecond)
	}
	l := &Load{db: db, schema: schema, o: o, kinds: kinds, fresh: make(map[string]int64), stats: Stats{Kinds: make(map[string]int64)}}
	for _, k := range kinds {
		l.weight += k.weight
	}
	return l
}

// Run writes until ctx ends or the transactions asked for are done, and returns what it
// did. A transaction under way when ctx ends is finished. Lost connections are made
// again until ctx ends; an error means that the schema is not ours, that the server
// was not there at the start, or that it refused a statement for a reason that will
// not pass.
func (l *Load) Run(ctx context.Context) (Stats, error) {
	l.mu.Lock()
	l.began = time.Now()
	l.mu.Unlock()
	l.left.Store(l.o.Transactions)
	err := requireOurs(ctx, l.db, l.schema)
	if err == nil {
		group, groupCtx := errgroup.WithContext(ctx)
		for i := range l.o.Workers {
			group.Go(func() error {
				w := worker{load: l, dice: newDice(l.o.Seed, "worker", i), spans: make(map[string]*bounds)}
				defer w.disconnect()
				return w.work(groupCtx)
			})
		}
		err = group.Wait()
	}
	l.mu.Lock()
	l.ended = time.Now()
	l.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		return l.Stats(), fmt.Errorf("load on %s: %w", l.schema, err)
	}
	return l.Stats(), nil
}

// Stats returns the counts so far; it may be called while Run runs.
func (l *Load) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Kinds = maps.Clone(s.Kinds)
	switch {
	case !l.ended.IsZero():
		s.Elapsed = l.ended.Sub(l.began)
	case !l.began.IsZero():
		s.Elapsed = time.Since(l.began)
	}
	return s
}

func (l *Load) count(add func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.stats)
}

// take claims one of the transactions asked for.
func (l *Load) take() bool { return l.o.Transactions == 0 || l.left.Add(-1) >= 0 }

func (l *Load) draw(d *dice) kind {
	n := d.below(l.weight)
	for _, k := range l.kinds {
		if n -= k.weight; n < 0 {
			return k
		}
	}
	panic("sample: weights do not add up")
}
