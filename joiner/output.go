package joiner

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Output is the net change of one row of a view.
type Output struct {
	Key change.Key
	// Op is Insert, Update, Delete, or Read in a chunk of a cover. Before is nil of Insert and Read, After
	// is nil of Delete.
	Op     change.Op
	Before change.Row
	After  change.Row
	// Problem is set when a value of After cannot be computed exactly as the source would (After then
	// holds NULL in its place): the row must be withheld and named, it is not true.
	Problem error
}

// side is a row of the view as one state has it.
type side struct {
	row     change.Row
	problem error
	set     bool
}

func (s *side) equal(o *side) bool {
	if !s.row.Equal(o.row) || (s.problem == nil) != (o.problem == nil) {
		return false
	}
	return s.problem == nil || s.problem.Error() == o.problem.Error()
}

// pair is what leaves and what enters the view under one output key.
type pair struct{ old, new side }

// accumulator gathers the rows of one view under their output keys. A row is either in rows or in updates.
type accumulator struct {
	rows    map[string]*pair
	free    []pair
	updates updates
	bytes   int // of rows
}

func (a *accumulator) size() int { return a.bytes + a.updates.bytes }

func (a *accumulator) at(key []byte, text func([]byte) string) *pair {
	if p := a.rows[string(key)]; p != nil {
		return p
	}
	if a.rows == nil {
		a.rows = map[string]*pair{}
	}
	if len(a.free) == 0 {
		a.free = make([]pair, min(4+len(a.rows), 128))
	}
	p := &a.free[0]
	a.free = a.free[1:]
	a.rows[text(key)] = p
	a.bytes += len(key) + pairSize
	return p
}

// pairSize estimates the memory of an accumulated row without its values, in bytes.
const pairSize = 200

// Outputs yields the view's net changes, sorted by output key. It may be called once per view that the
// batch emits, after the last event. Rows belong to the caller.
func (b *Batch) Outputs(name string) iter.Seq2[Output, error] {
	return func(yield func(Output, error) bool) {
		v := b.e.byName[name]
		if v == nil || !b.emit[v.number] {
			yield(Output{}, fmt.Errorf("the batch does not emit view %s", name))
			return
		}
		if err := b.evaluate(v); err != nil {
			yield(Output{}, fmt.Errorf("evaluate view %s: %w", name, err))
			return
		}
		if b.spilledView(v) {
			b.spilledOutputs(v, yield)
			return
		}
		b.yieldSorted(v, yield)
	}
}

// yieldSorted hands out what the accumulator holds and empties it.
func (b *Batch) yieldSorted(v *viewState, yield func(Output, error) bool) {
	acc := b.acc
	b.acc = accumulator{}
	acc.updates.sort()
	next := 0
	before := func(key string, all bool) bool { // the updates before the key
		for ; next < acc.updates.len() && (all || string(acc.updates.key(next)) < key); next++ {
			if !yield(acc.updates.output(next, len(v.plan.Select))) {
				return false
			}
		}
		return true
	}
	for _, key := range slices.Sorted(maps.Keys(acc.rows)) {
		if !before(key, false) {
			return
		}
		out, ok := acc.rows[key].output(key)
		if ok && !yield(out, nil) {
			return
		}
	}
	before("", true)
}

// output is the net change; ok is false when there is none.
func (p *pair) output(key string) (Output, bool) {
	o := Output{Key: change.Key(key), Before: p.old.row, After: p.new.row, Problem: p.new.problem}
	switch {
	case p.old.set && p.new.set:
		o.Op = change.Update
		return o, !p.old.equal(&p.new)
	case p.new.set:
		o.Op = change.Insert
	case p.old.set:
		o.Op = change.Delete
	default:
		return o, false
	}
	return o, true
}

// evaluate enumerates what leaves and what enters the view and leaves it in the accumulator.
func (b *Batch) evaluate(v *viewState) error {
	if err := b.resolve(); err != nil {
		return err
	}
	w := b.walker(v)
	// Where one input alone changes, rows of which the view reads nothing that differs are passed over.
	// Otherwise other rows count on them: they leave the tuples that hold both to the earlier input.
	alone := b.changedInputs(v) == 1
	for i := range v.inputs {
		in := &v.inputs[i]
		for _, n := range b.changedRows(in, alone) {
			if err := b.walkEntry(w, i, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Batch) walkEntry(w *walker, i int, n *entry) error {
	if done, err := w.update(i, n); done || err != nil {
		return errors.Join(err, b.spillOutputsIfFull(w.v))
	}
	for _, l := range [2]look{lookOld, lookNew} {
		row := n.old
		if l == lookNew {
			row = n.new
		}
		if row != nil {
			if err := w.through(i, row, l); err != nil {
				return err
			}
		}
	}
	if w.v.inputs[i].plan.Left {
		for _, row := range [2]change.Row{n.old, n.new} {
			if row == nil {
				continue
			}
			for _, l := range [2]look{lookOld, lookNew} {
				if err := w.extended(i, row, l); err != nil {
					return err
				}
			}
		}
	}
	return b.spillOutputsIfFull(w.v)
}

func (b *Batch) walker(v *viewState) *walker {
	w := b.walk[v.number]
	if w == nil {
		if n := len(v.idle); n > 0 {
			w, v.idle = v.idle[n-1], v.idle[:n-1]
		} else {
			w = newWalker(v)
		}
		w.use(b)
		w.emit = func() error { return b.collect(w) }
		b.walk[v.number] = w
	}
	return w
}

// collect computes the view's row of the walker's tuple and files it under its key.
func (b *Batch) collect(w *walker) error {
	if w.look == lookBoth {
		return b.collectUpdate(w)
	}
	row := b.arena.row(len(w.v.plan.Select))
	key, problem, err := b.project(w, row, nil)
	if err != nil {
		return err
	}
	p := b.acc.at(key, b.arena.text)
	s := &p.old
	if w.look == lookNew {
		s = &p.new
	}
	b.acc.fill(s, side{row: row, problem: problem, set: true})
	return nil
}

// fill gives a pair's side its row.
func (a *accumulator) fill(s *side, with side) {
	if !s.set {
		a.bytes += with.row.MemSize()
	}
	*s = with
}

// project computes the output row of the walker's tuple into row. key is valid until the next call. Columns
// that do not read the updated input are taken from same, if it is given.
func (b *Batch) project(w *walker, row, same change.Row) (key []byte, problem, err error) {
	plan := w.v.plan
	for i, x := range plan.Select {
		if same != nil && !w.v.inputs[w.updated].selects[i] {
			row[i] = same[i]
			continue
		}
		v, err := x.Eval(w.tuple)
		if err != nil {
			err = w.evalError("column "+plan.Output.Columns[i].Name, err)
			if plan.Output.IsKey(i) {
				return nil, nil, err
			}
			if problem == nil {
				problem = err
			}
			v = change.NullValue()
		}
		row[i] = v
	}
	key, err = plan.Output.AppendRowKey(b.keyBuf[:0], row)
	b.keyBuf = key
	return key, problem, err
}
