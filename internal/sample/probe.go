package sample

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// probeEpoch is the time from which a probe counts: in the future, so that a date at or
// above it is a probe's. probeRental is the rental whose date it sets: one of the
// ledger, which no load touches.
const (
	probeEpoch  = "2030-01-01 00:00:00"
	probeRental = LedgerSize
)

// ProbeOptions says how often a Probe writes and looks. Zero values give the defaults.
type ProbeOptions struct {
	// Interval between two commits; 50 ms.
	Interval time.Duration
	// Poll is the pause between two looks at the destination; 2 ms. It is part of what is
	// measured, as is the look itself.
	Poll time.Duration
	// Drain is how long after the end of the context commits may take to appear; 10 s.
	Drain time.Duration
}

// Probe measures the time from the return of a COMMIT on the source to a read in a
// destination of the shipped view that shows it. It sets the date of one rental of the
// ledger to ever later values, so it adds no rows, changes no sum and needs no table.
type Probe struct {
	db      *sql.DB
	schema  string
	o       ProbeOptions
	latency *Latency
}

// ProbeQuery is the question that a Probe's look asks a destination of the shipped view
// (arguments as those of FlatDigest): the number of the newest change that is visible,
// 0 or less if none is.
func ProbeQuery(d Dialect, from, where string) string {
	if where != "" {
		where = " AND (" + where + ")"
	}
	date, id := quoteColumn(d, "RentalDate"), quoteColumn(d, "RentalId")
	number := fmt.Sprintf("TIMESTAMPDIFF(SECOND, '%s', MAX(%s))", probeEpoch, date)
	if d == PostgreSQL {
		number = fmt.Sprintf("EXTRACT(EPOCH FROM MAX(%s) - TIMESTAMP '%s')::bigint", date, probeEpoch)
	}
	return fmt.Sprintf("SELECT COALESCE(%s, 0) FROM %s WHERE %s = %d%s", number, from, id, probeRental, where)
}

// NewProbe prepares a probe of a Sakila schema that Create made and Seed filled.
func NewProbe(db *sql.DB, schema string, o ProbeOptions) *Probe {
	if o.Interval <= 0 {
		o.Interval = 50 * time.Millisecond
	}
	if o.Poll <= 0 {
		o.Poll = 2 * time.Millisecond
	}
	if o.Drain <= 0 {
		o.Drain = 10 * time.Second
	}
	return &Probe{db: db, schema: schema, o: o, latency: NewLatency()}
}

// Run writes and looks until ctx ends, waits for what is still to appear, and returns
// the summary. look is called by one goroutine at a time and returns the answer to
// ProbeQuery; its errors are taken for a destination that is away, and it is called
// again. A context is Run's regular end, not an error.
func (p *Probe) Run(ctx context.Context, look func(context.Context) (int64, error)) (LatencySummary, error) {
	if err := requireOurs(ctx, p.db, p.schema); err != nil {
		return LatencySummary{}, fmt.Errorf("probe: %w", err)
	}
	var last int64
	query := fmt.Sprintf("SELECT GREATEST(0, TIMESTAMPDIFF(SECOND, '%s', rental_date)) FROM %s.rental WHERE rental_id = %d",
		probeEpoch, quoteName(p.schema), probeRental)
	if err := scan(ctx, p.db, query, nil, &last); errors.Is(err, errNothing) {
		return LatencySummary{}, fmt.Errorf("probe: rental %d is not in %s: seed it first", probeRental, p.schema)
	} else if err != nil {
		return LatencySummary{}, fmt.Errorf("probe: %w", err)
	}
	p.latency.VisibleUpTo(last, time.Now()) // of earlier probes

	// The watch outlives the writer, until everything has appeared or Drain is over.
	watchCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	written := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		err := p.write(ctx, last)
		close(written)
		// Ends early when the watch has seen everything; that is no error.
		_ = sleep(watchCtx, p.o.Drain)
		stop()
		return err
	})
	group.Go(func() error {
		defer stop()
		p.watch(watchCtx, written, look)
		return nil
	})
	if err := group.Wait(); err != nil {
		return p.latency.Summary(), fmt.Errorf("probe: %w", err)
	}
	return p.latency.Summary(), nil
}

// Latency is the summary so far, while Run runs.
func (p *Probe) Latency() LatencySummary { return p.latency.Summary() }

// write commits changes with numbers above last until ctx ends.
func (p *Probe) write(ctx context.Context, last int64) error {
	number := last
	set := fmt.Sprintf("UPDATE rental SET rental_date = '%s' + INTERVAL ? SECOND WHERE rental_id = %d", probeEpoch, probeRental)
	probe := kind{"probe", 1, func(ctx context.Context, w *worker) error {
		number++ // at every try: a COMMIT whose answer was lost may have happened
		err := w.transaction(ctx, func(t tx) error { return t.must(ctx, set, number) })
		at := time.Now()
		if err == nil {
			p.latency.Committed(number, at)
		}
		return err
	}}
	o := LoadOptions{Workers: 1, RatePerSecond: float64(time.Second) / float64(p.o.Interval)}
	_, err := newLoad(p.db, p.schema, o, []kind{probe}).Run(ctx)
	return err
}

// watch looks until ctx ends, or all is visible after the writer's end.
func (p *Probe) watch(ctx context.Context, written <-chan struct{}, look func(context.Context) (int64, error)) {
	for ctx.Err() == nil {
		ended := false
		select {
		case <-written:
			ended = true
		default:
		}
		if number, err := look(ctx); err == nil {
			p.latency.VisibleUpTo(number, time.Now())
		}
		if ended && p.latency.Summary().Pending == 0 {
			return
		}
		if sleep(ctx, p.o.Poll) != nil {
			return
		}
	}
}
