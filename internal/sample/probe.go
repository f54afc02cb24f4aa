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
	db     *sql.DB
	schema string
	o      ProbeOptions
}

// Look returns the answer of one destination to ProbeQuery.
type Look func(context.Context) (int64, error)

// ProbeQuery is the question that a Probe's look asks a destination of the shipped view
// (arguments as those of FlatDigest): the number of the newest change that is visible,
// 0 or less if none is.
func ProbeQuery(d Dialect, from, where string) string {
	if where != "" {
		where = " AND (" + where + ")"
	}
	date, id := quoteColumn(d, "RentalDate"), quoteColumn(d, "RentalId")
	number := fmt.Sprintf("TIMESTAMPDIFF(SECOND, '%s', MAX(%s))", probeEpoch, date)
	switch d {
	case PostgreSQL:
		number = fmt.Sprintf("EXTRACT(EPOCH FROM MAX(%s) - TIMESTAMP '%s')::bigint", date, probeEpoch)
	case SQLServer:
		number = fmt.Sprintf("DATEDIFF(second, '%s', MAX(%s))", probeEpoch, date)
	case ClickHouse:
		number = fmt.Sprintf("toInt64(dateDiff('second', toDateTime64('%s', 6, 'UTC'), MAX(%s)))", probeEpoch, date)
	case MySQL:
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
	return &Probe{db: db, schema: schema, o: o}
}

// Run writes and looks until ctx ends, waits for what is still to appear, and returns
// a summary per look, in their order. A look is called by one goroutine at a time; its
// errors are taken for a destination that is away, and it is called again. A context is
// Run's regular end, not an error.
func (p *Probe) Run(ctx context.Context, looks ...Look) ([]LatencySummary, error) {
	if err := requireOurs(ctx, p.db, p.schema); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	var last int64
	query := fmt.Sprintf("SELECT GREATEST(0, TIMESTAMPDIFF(SECOND, '%s', rental_date)) FROM %s.rental WHERE rental_id = %d",
		probeEpoch, quoteName(p.schema), probeRental)
	if err := scan(ctx, p.db, query, nil, &last); errors.Is(err, errNothing) {
		return nil, fmt.Errorf("probe: rental %d is not in %s: seed it first", probeRental, p.schema)
	} else if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	latencies := make([]*Latency, len(looks))
	for i := range latencies {
		latencies[i] = NewLatency()
		latencies[i].VisibleUpTo(last, time.Now()) // of earlier probes
	}

	// The watches outlive the writer, until everything has appeared or Drain is over.
	watchCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	written := make(chan struct{})
	var writer, watches errgroup.Group
	writer.Go(func() error {
		err := p.write(ctx, last, latencies)
		close(written)
		// Ends early when the watches have seen everything; that is no error.
		_ = sleep(watchCtx, p.o.Drain)
		stop()
		return err
	})
	for i, look := range looks {
		watches.Go(func() error {
			p.watch(watchCtx, written, look, latencies[i])
			return nil
		})
	}
	_ = watches.Wait() // they return no errors
	stop()
	err := writer.Wait()
	sums := make([]LatencySummary, len(latencies))
	for i, l := range latencies {
		sums[i] = l.Summary()
	}
	if err != nil {
		return sums, fmt.Errorf("probe: %w", err)
	}
	return sums, nil
}

// write commits changes with numbers above last until ctx ends.
func (p *Probe) write(ctx context.Context, last int64, latencies []*Latency) error {
	number := last
	set := fmt.Sprintf("UPDATE rental SET rental_date = '%s' + INTERVAL ? SECOND WHERE rental_id = %d", probeEpoch, probeRental)
	probe := kind{"probe", 1, func(ctx context.Context, w *worker) error {
		number++ // at every try: a COMMIT whose answer was lost may have happened
		err := w.transaction(ctx, func(t tx) error { return t.must(ctx, set, number) })
		at := time.Now()
		if err == nil {
			for _, l := range latencies {
				l.Committed(number, at)
			}
		}
		return err
	}}
	o := LoadOptions{Workers: 1, RatePerSecond: float64(time.Second) / float64(p.o.Interval)}
	_, err := newLoad(p.db, p.schema, o, []kind{probe}).Run(ctx)
	return err
}

// watch looks until ctx ends, or all is visible after the writer's end.
func (p *Probe) watch(ctx context.Context, written <-chan struct{}, look Look, latency *Latency) {
	for ctx.Err() == nil {
		ended := false
		select {
		case <-written:
			ended = true
		default:
		}
		if number, err := look(ctx); err == nil {
			latency.VisibleUpTo(number, time.Now())
		}
		if ended && latency.Summary().Pending == 0 {
			return
		}
		if sleep(ctx, p.o.Poll) != nil {
			return
		}
	}
}
