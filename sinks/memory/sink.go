package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Options of a sink.
type Options struct {
	// Reader is the sink's name: covers for others are passed over.
	Reader   string
	OnPoison sinks.OnPoison
	Observer sinks.Observer
	// Writer is the id that this process writes into cdc_progress; "" draws one. A simulation names it.
	Writer string
	// Hook is called before and after each effect with its name; an error ends the call there, as a crash
	// would: what is not committed is undone.
	Hook func(step string) error
	// Break turns off one rule, for a simulation that must notice.
	Break sinks.Break
}

// Sink is one process that delivers to a DB.
type Sink struct {
	db      *DB
	o       Options
	streams map[string]*stream
}

type stream struct {
	targets map[string]sinks.Target
	staging sinks.Staging
	mark    change.Mark // where this process believes the destination to be
}

var (
	_ sinks.Sink       = (*Sink)(nil)
	_ sinks.Boundaries = (*Sink)(nil)
)

// Open returns a sink on the destination.
func Open(db *DB, o Options) *Sink {
	if o.Writer == "" {
		o.Writer = rand.Text()
	}
	return &Sink{db: db, o: o, streams: map[string]*stream{}}
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(_ context.Context, name string, targets []sinks.Target) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	st := &stream{targets: map[string]sinks.Target{}, staging: sinks.Staging{Reader: s.o.Reader, Tables: map[string]bool{}, Break: s.o.Break}}
	for _, t := range targets {
		if len(t.Table.Key) == 0 {
			return sinks.OfTarget(t.From, &sinks.StopError{What: fmt.Sprintf("table %s has no usable key", t.From), Hint: "declare a primary key at the source"})
		}
		if err := t.CheckColumns(t.Table); err != nil {
			return err
		}
		st.targets[t.From] = t
		st.staging.Tables[t.From] = t.Progressive
	}
	tx := &transaction{s: s, name: name, st: st}
	return tx.run(func() error {
		p := s.db.streams[name]
		p.states = maps.Clone(p.states)
		if p.states == nil {
			p.states = map[string]sinks.TableState{}
		}
		if err := tx.effect("take", func() { p.writer = s.o.Writer }); err != nil {
			return err
		}
		for _, from := range slices.Sorted(maps.Keys(st.targets)) {
			fresh, err := tx.ensureTable(st.targets[from])
			if err != nil {
				return sinks.OfTarget(from, err)
			}
			if fresh {
				p.states[from] = sinks.TableState{Phase: sinks.Waiting}
			}
		}
		var owned []string
		for _, t := range s.db.tables {
			if t.stream == name {
				owned = append(owned, t.from)
			}
		}
		st.staging.Freeze(owned, p.mark, p.states)
		tx.setProgress(p)
		return nil
	}, func() {
		st.mark = s.db.streams[name].mark
		s.streams[name] = st
	})
}

// ensureTable reports whether the table was made or taken over now.
func (tx *transaction) ensureTable(tg sinks.Target) (fresh bool, err error) {
	db, name := tx.s.db, tableName(tg)
	t := db.tables[name]
	switch {
	case t == nil:
		return true, tx.effect("create table", func() {
			db.tables[name] = &table{shape: tg.Table, stream: tx.name, from: tg.From, rows: rows{}}
			tx.undo(func() { delete(db.tables, name) })
		})
	case t.stream == tx.name && t.from == tg.From:
		t.drift = drift{} // it is widened, and has all columns again
		return false, tx.reshape(t, tg.Table)
	case len(t.rows) > 0 && !tg.Adopt:
		return false, &sinks.StopError{
			What: fmt.Sprintf("table %s is not empty and was not made for %s of stream %s", name, tg.From, tx.name),
			Hint: "deliver to another name, or set adopt: true",
		}
	}
	err = tx.effect("own table", func() {
		was := *t
		t.stream, t.from = tx.name, tg.From
		tx.undo(func() { t.stream, t.from = was.stream, was.from })
	})
	return true, errors.Join(err, tx.reshape(t, tg.Table))
}

// Applied implements sinks.Sink.
func (s *Sink) Applied(_ context.Context, name string) (change.Mark, error) {
	st := s.streams[name]
	if st == nil {
		return change.Mark{}, &sinks.StopError{What: fmt.Sprintf("stream %s was not prepared", name)}
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	st.mark = s.db.streams[name].mark
	return st.mark, nil
}

// Boundaries implements sinks.Boundaries.
func (s *Sink) Boundaries(_ context.Context, name string) (map[string]sinks.TableState, error) {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	return maps.Clone(s.db.streams[name].states), nil
}

// Close implements sinks.Sink; there is nothing to release.
func (s *Sink) Close() error { return nil }

func (s *Sink) hook(step string) error {
	if s.o.Hook == nil {
		return nil
	}
	return s.o.Hook(step)
}

// transaction undoes its effects unless it gets to its end.
type transaction struct {
	s     *Sink
	name  string
	st    *stream
	undos []func()
}

// run executes the body; committed runs when everything has been done. The caller holds the DB.
func (tx *transaction) run(body func() error, committed func()) error {
	err := body()
	if err == nil {
		err = tx.s.hook("before commit")
	}
	if err != nil {
		for _, undo := range slices.Backward(tx.undos) {
			undo()
		}
		return err
	}
	committed()
	return tx.s.hook("after commit")
}

func (tx *transaction) undo(f func()) { tx.undos = append(tx.undos, f) }

// effect does something between its two hooks.
func (tx *transaction) effect(step string, do func()) error {
	if err := tx.s.hook("before " + step); err != nil {
		return err
	}
	do()
	return tx.s.hook("after " + step)
}

func (tx *transaction) setProgress(p progress) {
	db, was := tx.s.db, tx.s.db.streams[tx.name]
	_, had := db.streams[tx.name]
	db.streams[tx.name] = p
	tx.undo(func() {
		if had {
			db.streams[tx.name] = was
		} else {
			delete(db.streams, tx.name)
		}
	})
}

// reshape gives the rows of a table another shape: columns that it lacked are NULL.
func (tx *transaction) reshape(t *table, shape *change.Table) error {
	if t.shape.SameShape(shape) {
		return nil
	}
	if !slices.Equal(keyNames(t.shape), keyNames(shape)) {
		return &sinks.StopError{What: fmt.Sprintf("the key of %s changed", shape.ID), Hint: "deliver to another name"}
	}
	return tx.effect("alter table", func() {
		oldShape, oldRows := t.shape, t.rows
		tx.undo(func() { t.shape, t.rows = oldShape, oldRows })
		t.shape, t.rows = shape, oldRows.reshaped(oldShape, shape)
	})
}

func keyNames(t *change.Table) []string {
	var names []string
	for _, c := range t.Key {
		names = append(names, t.Columns[c].Name)
	}
	return names
}

func (r rows) reshaped(from, to *change.Table) rows {
	out := make(rows, len(r))
	for k, row := range r {
		row.Row = project(row.Row, from, to)
		out[k] = row
	}
	return out
}

// project puts a row of one shape into the columns of another.
func project(row change.Row, from, to *change.Table) change.Row {
	if from == to {
		return row
	}
	out := make(change.Row, len(to.Columns))
	for i, c := range to.Columns {
		if j := from.Column(c.Name); j >= 0 {
			out[i] = row[j]
		}
	}
	return out
}
