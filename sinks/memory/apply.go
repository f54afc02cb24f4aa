package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// apply is one Batch on its way into the destination.
type apply struct {
	transaction
	b      *change.Batch
	step   sinks.Step
	fold   *sinks.Fold
	counts sinks.Counts
	events []event
}

// event is one that was read; whether it counts depends on where its table's rows go.
type event struct {
	table string
	op    change.Op
}

var errMoved = errors.New("the destination's place in the stream has changed under this process")

// Apply implements sinks.Sink.
func (s *Sink) Apply(ctx context.Context, b *change.Batch) error {
	st := s.streams[b.Stream]
	if st == nil {
		return &sinks.StopError{What: fmt.Sprintf("stream %s was not prepared", b.Stream)}
	}
	a := &apply{transaction: transaction{s: s, name: b.Stream, st: st}, b: b}
	if err := a.read(ctx); err != nil { // outside the lock: it may take long
		return err
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if done, err := sinks.AlreadyApplied(b, st.mark); done || err != nil {
		return err
	}
	return a.run(a.body, func() {
		st.mark = b.Mark
		a.counts.Tell(s.o.Observer)
	})
}

// read folds the rows of delivered tables.
func (a *apply) read(ctx context.Context) error {
	a.fold = sinks.NewFold()
	if a.b.Rows == 0 || a.b.Cover != nil && !a.b.Cover.IsFor(a.s.o.Reader) {
		return nil
	}
	n := 0
	for ev, err := range a.b.Events(ctx) {
		if err != nil {
			return fmt.Errorf("read batch %d of %s: %w", a.b.To, a.b.Stream, err)
		}
		n++
		table := ev.Table.ID.String()
		if _, ok := a.st.targets[table]; !ok {
			continue
		}
		if err := a.fold.Add(table, &ev); err != nil {
			return err
		}
		a.events = append(a.events, event{table, ev.Op})
	}
	if n != a.b.Rows {
		return fmt.Errorf("batch %d of %s announces %d events and holds %d", a.b.To, a.b.Stream, a.b.Rows, n)
	}
	return nil
}

func (a *apply) body() error {
	db := a.s.db
	p := db.streams[a.name]
	if a.s.o.Break != sinks.BreakNoFencing {
		if p.writer != a.s.o.Writer {
			return fmt.Errorf("stream %s (writer %q there, %q here): %w", a.name, p.writer, a.s.o.Writer, sinks.ErrFenced)
		}
		if p.mark.ID != a.st.mark.ID {
			return &sinks.RetryError{Reason: "moved", Err: errMoved}
		}
	}
	step, err := a.st.staging.Decide(a.b, p.mark, p.states)
	if err != nil {
		return err
	}
	a.step = step
	for _, ev := range a.events {
		if step.Route(ev.table) != sinks.Ignore {
			a.counts.Event(ev.table, ev.op)
		}
	}
	p.mark, p.states = a.b.Mark, step.States
	if err := a.effect("progress", func() { a.setProgress(p) }); err != nil || step.Skip {
		return err
	}
	for _, shape := range a.b.Tables {
		if err := a.evolve(shape); err != nil {
			return sinks.OfTarget(shape.ID.String(), err)
		}
	}
	for _, t := range step.Void {
		if err := a.effect("void", func() { a.setStage(t, rows{}) }); err != nil {
			return err
		}
	}
	if err := a.rows(); err != nil {
		return err
	}
	for _, t := range step.Show {
		var refused error
		if err := a.effect("show", func() { refused = a.show(t) }); err != nil || refused != nil {
			return errors.Join(err, refused)
		}
	}
	for _, t := range step.Sweep {
		if err := a.effect("sweep", func() { a.sweep(t) }); err != nil {
			return err
		}
	}
	for _, t := range step.Done {
		a.forget(t, func(e Entry) bool { return e.Seq < step.Begun(t) })
	}
	return nil
}

func (a *apply) evolve(shape *change.Table) error {
	tg, ok := a.st.targets[shape.ID.String()]
	if !ok {
		return nil
	}
	t := a.table(tg.From)
	old := t.shape
	if err := a.reshape(t, shape); err != nil {
		return err
	}
	if stage := a.s.db.stages[a.stageName(tg.From)]; stage != nil && !old.SameShape(shape) {
		a.setStage(tg.From, stage.reshaped(old, shape))
	}
	return nil
}

// rows applies what was read, and a chunk's range even if nothing was.
func (a *apply) rows() error {
	if a.b.Kind == change.Chunk && a.st.targets[a.b.Cover.Table].Table != nil {
		return a.apply(a.b.Cover.Table)
	}
	for _, t := range a.fold.Tables() {
		if err := a.apply(t); err != nil {
			return err
		}
	}
	return nil
}

// apply puts the net changes of one table to wherever it is kept.
func (a *apply) apply(name string) error {
	nets := a.fold.Drain(name)
	route := a.step.Route(name)
	if route == sinks.Ignore {
		return nil
	}
	if err := a.unaltered(name); err != nil {
		return err
	}
	t := a.table(name)
	if route != sinks.ToTable {
		// A stage of our own to change: what it was is put back if this does not commit.
		a.setStage(name, maps.Clone(a.s.db.stages[a.stageName(name)]))
	}
	stage := a.s.db.stages[a.stageName(name)]
	if err := a.s.hook("before rows"); err != nil {
		return err
	}
	if route == sinks.ToBoth {
		for _, n := range nets {
			if !n.Delete {
				stage[n.Key] = Row{Row: project(n.Row, n.Table, t.shape)}
			}
		}
	}
	w := writer{a: a, t: t, from: name, into: t.rows, soft: a.st.targets[name].Soft, extra: a.st.targets[name].Extra, uniques: t.uniques, visible: true}
	if route == sinks.ToStaging {
		w.into, w.soft, w.extra, w.uniques, w.visible = stage, false, sinks.Extra{}, nil, false
	}
	if err := w.write(nets); err != nil {
		return err
	}
	return a.s.hook("after rows")
}

// show makes the visible table equal to the staging by the difference. What was quarantined since the
// cover began stays as it is shown.
func (a *apply) show(name string) error {
	t, stage := a.table(name), a.s.db.stages[a.stageName(name)]
	w := writer{a: a, t: t, from: name, into: t.rows, soft: a.st.targets[name].Soft, extra: a.st.targets[name].Extra, uniques: t.uniques, visible: true}
	kept := map[string]bool{}
	if a.s.o.OnPoison == sinks.KeepOnPoison {
		for k, e := range a.s.db.quarantine {
			if k.stream == a.name && k.table == name && e.Seq >= a.step.Begun(name) {
				kept[k.key] = true
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(t.rows)) {
		if _, ok := stage[k]; !ok && !kept[w.keyText(t.rows[k].Row)] {
			w.remove(k)
		}
	}
	var nets []sinks.Net
	for _, k := range slices.Sorted(maps.Keys(stage)) {
		nets = append(nets, sinks.Net{Key: k, Row: stage[k].Row, Seq: a.b.To, Table: t.shape})
	}
	a.setStage(name, nil)
	return w.upsert(nets)
}

// sweep deletes what a cover without key order has not seen.
func (a *apply) sweep(name string) {
	t, stage := a.table(name), a.s.db.stages[a.stageName(name)]
	w := writer{a: a, t: t, from: name, into: t.rows, soft: a.st.targets[name].Soft, extra: a.st.targets[name].Extra, visible: true}
	for _, k := range slices.Sorted(maps.Keys(t.rows)) {
		if _, ok := stage[k]; !ok {
			w.remove(k)
		}
	}
	a.setStage(name, nil)
}

func (a *apply) table(from string) *table { return a.s.db.tables[tableName(a.st.targets[from])] }

func (a *apply) stageName(from string) string { return "cdc_stage_" + tableName(a.st.targets[from]) }

// setStage replaces a staging table; nil drops it.
func (a *apply) setStage(from string, r rows) {
	name := a.stageName(from)
	was := a.s.db.stages[name]
	set := func(r rows) {
		if r == nil {
			delete(a.s.db.stages, name)
			return
		}
		a.s.db.stages[name] = r
	}
	set(r)
	a.undo(func() { set(was) })
}
