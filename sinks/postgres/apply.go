package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// apply is one Batch on its way into the destination: one transaction.
type apply struct {
	s    *Sink
	st   *stream
	b    *change.Batch
	step sinks.Step
	tx   pgx.Tx
	manner

	inboxes map[*target]*inbox
	poison  []poison
	// refusedKeys are those of poison; gone are listed keys that a deletion takes off the list.
	refusedKeys map[refusedKey]bool
	gone        []refusedKey
	counts      sinks.Counts
	// undo takes back what was changed in memory when the transaction does not commit.
	undo []func()
}

// manner is how a batch is applied; one that fails for what is in a row goes on to the next.
type manner uint8

const (
	// small sends the rows of a small batch as parameters, all statements at once.
	small manner = iota
	// whole copies the rows to temporary tables.
	whole
	// careful does so with savepoints around what a row's content can make fail, and finds the rows.
	careful
)

// errAgain asks for the batch to be applied again in the next manner.
var errAgain = errors.New("a row was refused")

// Apply implements sinks.Sink.
func (s *Sink) Apply(ctx context.Context, b *change.Batch) error {
	doing := fmt.Sprintf("apply %s %d..%d of %s to postgres sink %s", b.Kind, b.From, b.To, b.Stream, s.cfg.Name)
	return s.watched(ctx, doing, func(ctx context.Context) error { return s.applyBatch(ctx, doing, b) })
}

func (s *Sink) applyBatch(ctx context.Context, doing string, b *change.Batch) error {
	st, err := s.stream(b.Stream)
	if err != nil {
		return err
	}
	if st.stale || s.conn == nil || s.conn.IsClosed() {
		if err := s.refresh(ctx, st); err != nil {
			return classify(doing, err)
		}
	}
	if done, err := sinks.AlreadyApplied(b, st.mark); done || err != nil {
		return err
	}
	step, err := st.staging.Decide(b, st.mark, st.states)
	if err != nil {
		return err
	}
	for _, how := range [...]manner{small, whole, careful} {
		a := &apply{s: s, st: st, b: b, step: step, manner: how}
		if how == small && !a.isSmall() {
			continue
		}
		if err = a.run(ctx); !errors.Is(err, errAgain) {
			break
		}
	}
	return classify(doing, err)
}

// run applies the batch in one transaction and, once it is committed, takes its result over.
func (a *apply) run(ctx context.Context) error {
	a.inboxes = map[*target]*inbox{}
	err := a.attempt(ctx)
	if err == nil {
		a.committed()
		return nil
	}
	var unknown *unknownOutcome
	if errors.As(err, &unknown) {
		a.s.checkConn(err)
		mark, mine, readErr := a.s.readMark(ctx, a.b.Stream)
		switch {
		case readErr != nil:
			err = unknown.err
		case !mine:
			err = fmt.Errorf("stream %s at postgres sink %s: %w", a.b.Stream, a.s.cfg.Name, sinks.ErrFenced)
		case mark.ID == a.b.Mark.ID && mark.Incarnation == a.b.Mark.Incarnation:
			a.committed()
			a.st.stale = true
			return nil
		default:
			err = unknown.err
		}
	}
	for _, undo := range slices.Backward(a.undo) {
		undo()
	}
	for tg, in := range a.inboxes {
		tg.inboxMade = tg.inboxMade && !in.made
	}
	if !errors.Is(err, errAgain) {
		a.s.checkConn(err)
	}
	return err
}

// unknownOutcome wraps an error of COMMIT: only the destination knows what became of it.
type unknownOutcome struct{ err error }

func (u *unknownOutcome) Error() string { return u.err.Error() }
func (u *unknownOutcome) Unwrap() error { return u.err }

func (a *apply) attempt(ctx context.Context) error {
	if a.manner == small {
		return a.applySmall(ctx)
	}
	if err := a.s.before("begin"); err != nil {
		return err
	}
	tx, err := a.s.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	a.tx = tx
	if err := a.body(ctx); err != nil {
		if a.s.conn.IsClosed() {
			return err
		}
		// The error of the body says more than one of the rollback, after which the connection is checked.
		if rb := tx.Rollback(context.WithoutCancel(ctx)); rb != nil && !errors.Is(rb, pgx.ErrTxClosed) {
			a.s.drop()
		}
		return err
	}
	if err := a.s.before("commit"); err != nil {
		return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return a.commitOutcome(tx.Commit(ctx))
}

// commitOutcome sorts what COMMIT returned: only the destination knows what became of one that failed.
func (a *apply) commitOutcome(err error) error {
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("commit: %w", err)
	case err != nil:
		return &unknownOutcome{fmt.Errorf("commit: %w", err)}
	}
	if err := a.s.after("commit"); err != nil {
		return &unknownOutcome{err}
	}
	return nil
}

// body is the transaction, in the order that sinks.Step gives.
func (a *apply) body(ctx context.Context) error {
	if err := a.fence(ctx); err != nil {
		return err
	}
	if a.step.Skip {
		return nil
	}
	for _, shape := range a.b.Tables {
		if tg := a.st.targets[shape.ID.String()]; tg != nil {
			if err := a.evolve(ctx, tg, shape); err != nil {
				return sinks.OfTarget(tg.From, err)
			}
		}
	}
	for _, t := range a.step.Void {
		if err := a.void(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	if err := a.fill(ctx); err != nil {
		return err
	}
	if a.b.Kind == change.Chunk {
		if err := a.chunk(ctx); err != nil {
			return err
		}
	} else if err := a.changes(ctx); err != nil {
		return err
	}
	for _, t := range a.step.Show {
		if err := a.show(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	for _, t := range a.step.Sweep {
		if err := a.sweep(ctx, a.st.targets[t]); err != nil {
			return err
		}
	}
	if err := a.storePoison(ctx); err != nil {
		return err
	}
	return a.s.storeStates(ctx, a.st.name, a.st.states, a.step.States)
}

func (a *apply) committed() {
	a.st.mark, a.st.states = a.b.Mark, a.step.States
	for _, p := range a.poison {
		a.counts.Quarantined(p.tg.From)
	}
	a.counts.Tell(a.s.cfg.Observer)
}

// fill reads the batch's rows, nets them as far as memory allows and sends them to the inboxes.
func (a *apply) fill(ctx context.Context) error {
	if a.b.Rows == 0 {
		return nil
	}
	if e := a.ahead(); e != nil {
		return a.sendAhead(ctx, e)
	}
	fold, err := a.read(ctx, func(f *sinks.Fold) error { return a.drain(ctx, f) })
	if err != nil {
		return err
	}
	return a.drain(ctx, fold)
}

// read nets the batch's rows; full is called whenever they pass the memory allowed.
func (a *apply) read(ctx context.Context, full func(*sinks.Fold) error) (*sinks.Fold, error) {
	fold, n := sinks.NewFold(), 0
	for ev, err := range a.b.Events(ctx) {
		if err != nil {
			return nil, &sinks.RetryError{Reason: "read", Err: fmt.Errorf("read the batch: %w", err)}
		}
		n++
		table := ev.Table.ID.String()
		if a.step.Route(table) == sinks.Ignore {
			continue
		}
		if err := a.follow(ctx, a.st.targets[table], ev.Table); err != nil {
			return nil, err
		}
		if err := fold.Add(table, &ev); err != nil {
			return nil, err
		}
		a.counts.Event(table, ev.Op)
		if fold.MemSize() > a.s.cfg.Memory {
			if err := full(fold); err != nil {
				return nil, err
			}
		}
	}
	if n != a.b.Rows {
		return nil, &sinks.RetryError{Reason: "read", Err: fmt.Errorf("the batch announces %d events and holds %d", a.b.Rows, n)}
	}
	return fold, nil
}

// follow takes over the shape of rows that hold a column which the target does not know: the stream's tail
// may be older, or newer, than the shape that the sink was prepared with.
func (a *apply) follow(ctx context.Context, tg *target, shape *change.Table) error {
	_, err := tg.mapping(shape)
	switch {
	case !errors.Is(err, errUnknownColumn):
		return err
	case a.manner == small:
		return errAgain
	case a.inboxes[tg] != nil:
		return &sinks.StopError{What: fmt.Sprintf("rows of %s change their shape within a batch", shape.ID), Err: err, Hint: "resync the table"}
	}
	return sinks.OfTarget(tg.From, a.evolve(ctx, tg, shape))
}

func (a *apply) drain(ctx context.Context, fold *sinks.Fold) error {
	for _, t := range fold.Tables() {
		if err := a.send(ctx, a.st.targets[t], fold.Drain(t)); err != nil {
			return err
		}
	}
	return nil
}

// changes applies what the inboxes hold to wherever their tables are kept.
func (a *apply) changes(ctx context.Context) error {
	for _, from := range slices.Sorted(maps.Keys(a.st.targets)) {
		tg := a.st.targets[from]
		in := a.inboxes[tg]
		if in == nil || in.rows == 0 {
			continue
		}
		if err := a.settle(ctx, in); err != nil {
			return err
		}
		if err := a.rows(ctx, in, a.place(tg), nil, ""); err != nil {
			return err
		}
		if a.step.Route(from) == sinks.ToBoth {
			if err := a.note(ctx, tg); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *apply) place(tg *target) place {
	if a.step.Route(tg.From) == sinks.ToStaging {
		return tg.staging()
	}
	return tg.visible(a.b.To)
}

// settle leaves one row per key in an inbox that was filled in several runs: the last wins. It also clears
// what cdc_quarantine held of keys that now have a good version or are gone.
func (a *apply) settle(ctx context.Context, in *inbox) error {
	tg := in.tg
	if in.overlap {
		if _, err := a.s.exec(ctx, "analyze", "ANALYZE "+tg.inbox); err != nil {
			return err
		}
		_, err := a.s.exec(ctx, "net", fmt.Sprintf("DELETE FROM %s t USING %[1]s s WHERE %s AND t.%s < s.%[3]s", tg.inbox, tg.sameKey("t", "s"), colOrd))
		if err != nil {
			return err
		}
	}
	if !tg.quarantined {
		return nil
	}
	_, err := a.s.exec(ctx, "clear quarantine", fmt.Sprintf(`DELETE FROM %s q USING %s s
WHERE q.stream = $1 AND q.table_name = $2 AND q.row_key = s.%s AND s.%s <> %d`, a.s.quarantine, tg.inbox, colKey, colOp, opKeep), a.st.name, tg.From)
	return err
}

// rows applies an inbox: what is gone is removed, what is there is upserted; removals come first. A cover
// gives a removal of its own and the part of the table that it may touch.
func (a *apply) rows(ctx context.Context, in *inbox, p place, removal *part, within string) error {
	w := work{place: p, in: in, within: within}
	if removal != nil {
		w.args = removal.args
		if _, err := a.s.exec(ctx, "remove range", removal.sql, removal.args...); err != nil {
			return a.refused(err)
		}
	}
	if in.rows == 0 {
		return nil
	}
	if a.manner == careful {
		return a.carefully(ctx, w)
	}
	for _, st := range w.statements("") {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			return a.refused(err)
		}
	}
	return nil
}

// refused turns an error about a row's content into the wish to begin again with care.
func (a *apply) refused(err error) error {
	if a.manner != careful && isPoison(err) {
		return errAgain
	}
	return err
}

// work is what must be done to a place with the rows of an inbox.
type work struct {
	place
	in     *inbox
	within string // a cover's part of the table, a condition on t with args; "" outside covers
	args   []any
}

type statement struct {
	step, sql string
	args      []any
}

// statements returns the removals and, last, the upsert; of selects rows of the inbox ("" all).
func (w work) statements(of string) []statement {
	var out []statement
	tg := w.tg
	for _, nulls := range w.in.patterns(opDelete) {
		where := under(opDelete, nulls) + " AND " + tg.keyMatch(nulls) + of
		out = append(out, statement{step: "delete", sql: w.remove(tg.inbox, where)})
	}
	if len(w.uniques) > 0 {
		for _, nulls := range w.in.patterns(opUpsert) {
			where := under(opUpsert, nulls) + " AND " + tg.keyMatch(nulls) + of
			out = append(out, statement{step: "delete moved", sql: w.removeMoved(tg.inbox, true, where)})
		}
	}
	if len(w.in.patterns(opUpsert)) > 0 {
		where := fmt.Sprintf("s.%s = %d%s", colOp, opUpsert, of)
		st := statement{step: "upsert"}
		if w.within != "" {
			where += " AND " + w.absentOrDifferent(true, w.within)
			st.args = w.args
		}
		st.sql = w.upsert(tg.inbox, true, where)
		out = append(out, st)
	}
	return out
}
