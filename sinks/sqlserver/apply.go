package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// apply is one Batch on its way into the destination: one transaction.
type apply struct {
	s    *Sink
	st   *stream
	b    *change.Batch
	step sinks.Step
	// careful looks for the rows that the destination refuses, behind savepoints; the usual way fails as a whole.
	careful bool

	inboxes map[*target]*inbox
	poison  []poison
	// refusedKeys are those of poison; gone are listed keys that a deletion takes off the list.
	refusedKeys map[refusedKey]bool
	gone        []refusedKey
	counts      sinks.Counts
	// undo takes back what was changed in memory when the transaction does not commit.
	undo []func()
}

// errAgain asks for the batch to be applied again with care.
var errAgain = errors.New("a row was refused")

// Apply implements sinks.Sink.
func (s *Sink) Apply(ctx context.Context, b *change.Batch) error {
	doing := fmt.Sprintf("apply %s %d..%d of %s to sqlserver sink %s", b.Kind, b.From, b.To, b.Stream, s.cfg.Name)
	st, err := s.stream(b.Stream)
	if err != nil {
		return err
	}
	if st.stale || s.session == nil {
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
	a := &apply{s: s, st: st, b: b, step: step}
	if err = a.run(ctx); errors.Is(err, errAgain) {
		err = s.carefully(ctx, &apply{s: s, st: st, b: b, step: step, careful: true})
	}
	return classify(doing, err)
}

// carefully applies a batch of which rows are refused. Its session lets the transaction go on after such an error.
func (s *Sink) carefully(ctx context.Context, a *apply) error {
	if _, err := s.exec(ctx, "abort off", abortOffSQL.with()); err != nil {
		s.checkSession(err)
		return err
	}
	err := a.run(ctx)
	if s.session == nil { // a new one has the usual setting
		return err
	}
	if _, on := s.session.exec(context.WithoutCancel(ctx), abortOnSQL.with()); on != nil {
		s.drop()
	}
	return err
}

// run applies the batch in one transaction and, once it is committed, takes its result over.
func (a *apply) run(ctx context.Context) error {
	a.inboxes = map[*target]*inbox{}
	done, err := a.small(ctx)
	if !done && err == nil {
		err = a.attempt(ctx)
	}
	if err == nil {
		a.committed()
		return nil
	}
	var unknown *unknownOutcome
	if errors.As(err, &unknown) {
		a.s.checkSession(err)
		mark, mine, readErr := a.s.readMark(ctx, a.b.Stream)
		switch {
		case readErr != nil:
			err = unknown.err
		case !mine:
			err = fmt.Errorf("stream %s at sqlserver sink %s: %w", a.b.Stream, a.s.cfg.Name, sinks.ErrFenced)
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
		a.s.checkSession(err)
	}
	return err
}

// unknownOutcome wraps an error of COMMIT: only the destination knows what became of it.
type unknownOutcome struct{ err error }

func (u *unknownOutcome) Error() string { return u.err.Error() }
func (u *unknownOutcome) Unwrap() error { return u.err }

func (a *apply) attempt(ctx context.Context) error {
	if _, err := a.s.exec(ctx, "begin", beginSQL.with()); err != nil {
		return a.rollback(ctx, err)
	}
	if err := a.body(ctx); err != nil {
		return a.rollback(ctx, err)
	}
	if err := a.s.before("commit"); err != nil {
		return a.rollback(ctx, err)
	}
	_, err := a.s.session.exec(ctx, commitSQL.with())
	switch {
	case numbers(err) != nil && !isBroken(err): // the server says that it did not
		return a.rollback(ctx, fmt.Errorf("commit: %w", err))
	case err != nil:
		return &unknownOutcome{fmt.Errorf("commit: %w", err)}
	}
	if err := a.s.after("commit"); err != nil {
		return &unknownOutcome{err}
	}
	return nil
}

// rollback ends the transaction after an error, which is returned; a session that cannot even do that is given up.
func (a *apply) rollback(ctx context.Context, err error) error {
	if a.s.session == nil {
		return err
	}
	if isBroken(err) {
		a.s.drop()
		return err
	}
	if _, rb := a.s.session.exec(context.WithoutCancel(ctx), rollbackSQL.with()); rb != nil {
		a.s.drop()
	}
	return err
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
	fold, n := sinks.NewFold(), 0
	for ev, err := range a.b.Events(ctx) {
		if err != nil {
			return unreadable(err)
		}
		n++
		table := ev.Table.ID.String()
		if a.step.Route(table) == sinks.Ignore {
			continue
		}
		if err := a.follow(ctx, a.st.targets[table], ev.Table); err != nil {
			return err
		}
		if err := fold.Add(table, &ev); err != nil {
			return err
		}
		a.counts.Event(table, ev.Op)
		if fold.MemSize() > a.s.cfg.Memory {
			if err := a.drain(ctx, fold); err != nil {
				return err
			}
		}
	}
	if n != a.b.Rows {
		return a.incomplete(n)
	}
	return a.drain(ctx, fold)
}

func unreadable(err error) error {
	return &sinks.RetryError{Reason: "read", Err: fmt.Errorf("read the batch: %w", err)}
}

func (a *apply) incomplete(n int) error {
	return &sinks.RetryError{Reason: "read", Err: fmt.Errorf("the batch announces %d events and holds %d", a.b.Rows, n)}
}

// follow takes over the shape of rows that hold a column which the target does not know: the stream's tail
// may be older, or newer, than the shape that the sink was prepared with.
func (a *apply) follow(ctx context.Context, tg *target, shape *change.Table) error {
	_, err := tg.mapping(shape)
	switch {
	case !errors.Is(err, errUnknownColumn):
		return err
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
		if err := a.rows(ctx, in, a.place(tg)); err != nil {
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
		if _, err := a.s.exec(ctx, "net", netSQL.with("inbox", tg.inbox, "match", tg.match("t", "s"))); err != nil {
			return err
		}
	}
	if !tg.quarantined {
		return nil
	}
	_, err := a.s.exec(ctx, "clear quarantine", clearQuarantineSQL.with("quarantine", a.s.quarantine, "inbox", tg.inbox),
		sql.Named("stream", a.st.name), sql.Named("table_name", tg.From))
	return err
}

// rows applies an inbox: what is gone is removed, what is there is written; removals come first.
func (a *apply) rows(ctx context.Context, in *inbox, p place) error {
	if in.rows == 0 {
		return nil
	}
	w := work{place: p, source: in.tg.inbox, inbox: true, removals: in.removals}
	if a.careful {
		return a.findAndApply(ctx, w, in)
	}
	return a.all(ctx, w.statements(""))
}

// all runs statements in turn.
func (a *apply) all(ctx context.Context, sts []statement) error {
	for _, st := range sts {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			return a.refused(err)
		}
	}
	return nil
}

// refused turns an error about a row's content into the wish to begin again with care.
func (a *apply) refused(err error) error {
	if !a.careful && isPoison(err) {
		return errAgain
	}
	return err
}
