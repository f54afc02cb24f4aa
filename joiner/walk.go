package joiner

import (
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// walker enumerates the joined tuples of one view that contain a given row, among the old rows or the
// new ones. It first climbs from the row's input to the first input, binding parents, then completes
// the tuple in join order.
type walker struct {
	b     *Batch
	v     *viewState
	look  look
	tuple view.Tuple
	bound []bool // inputs bound by the climb
	// term is the input that the walk began at; rows changed by the batch are skipped at inputs before
	// it, because the walk of that input enumerates the tuple.
	term int
	// nullAt, when >= 0, is the left-joined input at which only null-extended tuples are wanted.
	nullAt int
	downs  []*finder
	ups    []*finder
	found  []bool
	nulls  []*finder // the parents of a null-extended input
	owns   []*finder // rows of a left-joined input by their own join key
	emit   func() error
	err    error
	// updated and row are the input and the new row of an update that is walked once (lookBoth); the tuple
	// holds the old one. outputs are the view's row before and after it.
	updated int
	row     change.Row
	outputs [2]change.Row
}

func newWalker(v *viewState) *walker {
	n := len(v.inputs)
	w := &walker{v: v, tuple: make(view.Tuple, n), bound: make([]bool, n), found: make([]bool, n), nullAt: -1,
		downs: make([]*finder, n), ups: make([]*finder, n), nulls: make([]*finder, n), owns: make([]*finder, n)}
	for i := range w.outputs {
		w.outputs[i] = make(change.Row, len(v.plan.Select))
	}
	for k := 1; k < n; k++ {
		in := &v.inputs[k]
		parent := func(e *entry, row change.Row) bool { return w.onParent(in.parent, e, row) }
		w.downs[k] = newFinder(&in.down, func(e *entry, row change.Row) bool { return w.onChild(k, e, row) })
		w.ups[k] = newFinder(&in.up, parent)
		if in.plan.Left {
			w.nulls[k] = newFinder(&in.up, parent)
			own := in.down
			own.from = own.index.columns
			w.owns[k] = newFinder(&own, func(*entry, change.Row) bool { return false })
		}
	}
	return w
}

// use makes the walker read through the batch; nil lets go of one.
func (w *walker) use(b *Batch) {
	w.b, w.emit, w.err, w.row = b, nil, nil, nil
	for _, fs := range [][]*finder{w.downs, w.ups, w.nulls, w.owns} {
		for _, f := range fs {
			if f != nil {
				f.b = b
			}
		}
	}
	w.forget()
	clear(w.tuple)
	clear(w.outputs[0])
	clear(w.outputs[1])
}

// forget drops what the walker's lookups remember of the state.
func (w *walker) forget() {
	for _, fs := range [][]*finder{w.downs, w.ups, w.nulls, w.owns} {
		for _, f := range fs {
			if f != nil {
				f.memo.forget()
			}
		}
	}
}

// through enumerates the tuples that hold row at input i.
func (w *walker) through(i int, row change.Row, l look) error {
	w.term, w.nullAt, w.look, w.err = i, -1, l, nil
	w.bind(i, row)
	w.unbind(i)
	return w.err
}

// extended enumerates the tuples that are null-extended at the left-joined input i although row is, or
// was, a row of it: those of the parents that have row's join key.
func (w *walker) extended(i int, row change.Row, l look) error {
	in := &w.v.inputs[i]
	w.term, w.nullAt, w.look, w.err = i, i, l, nil
	if in.plan.OnFilter == nil && !w.unmatched(i, row) {
		return w.err // each of these parents has a match
	}
	w.tuple[i] = nil
	if _, err := w.nulls[i].find(row, l); err != nil {
		return err
	}
	return w.err
}

// unmatched reports whether input i has no row with the join key of the given one.
func (w *walker) unmatched(i int, row change.Row) bool {
	none, err := w.owns[i].find(row, w.look)
	if err != nil {
		w.err = err
	}
	return none && err == nil
}

// bind puts a row at input i and climbs on. It reports whether the enumeration may go on.
func (w *walker) bind(i int, row change.Row) bool {
	w.tuple[i], w.bound[i] = row, true
	in := &w.v.inputs[i]
	if ok := w.holds(in.plan.Filter); !ok {
		return w.err == nil
	}
	if i == 0 {
		w.step(0)
		return w.err == nil
	}
	if _, err := w.ups[i].find(row, w.look); err != nil {
		w.fail(err)
	}
	return w.err == nil
}

func (w *walker) unbind(i int) { w.tuple[i], w.bound[i] = nil, false }

func (w *walker) onParent(p int, n *entry, row change.Row) bool {
	if n != nil && n.changed && p < w.term {
		return true
	}
	more := w.bind(p, row)
	w.unbind(p)
	return more
}

// step completes the tuple from input k on.
func (w *walker) step(k int) {
	if w.err != nil {
		return
	}
	if k == len(w.v.inputs) {
		w.finish()
		return
	}
	in := &w.v.inputs[k]
	if w.bound[k] {
		if w.holds(in.plan.OnFilter) {
			w.step(k + 1)
		}
		return
	}
	w.found[k] = false
	if w.tuple[in.parent] != nil {
		if _, err := w.downs[k].find(w.tuple[in.parent], w.look); err != nil {
			w.fail(err)
			return
		}
	}
	w.tuple[k] = nil
	if !w.found[k] && in.plan.Left && w.err == nil {
		w.step(k + 1)
	}
}

func (w *walker) onChild(k int, n *entry, row change.Row) bool {
	in := &w.v.inputs[k]
	w.tuple[k] = row
	if !w.holds(in.plan.Filter) || !w.holds(in.plan.OnFilter) {
		return w.err == nil
	}
	w.found[k] = true
	if k == w.nullAt {
		return false
	}
	if n != nil && k < w.term && n.changed {
		return true
	}
	w.step(k + 1)
	return w.err == nil
}

// holds evaluates a condition over the tuple as bound so far; nil holds, NULL does not.
func (w *walker) holds(cond view.Expr) bool {
	if cond == nil {
		return true
	}
	ok, err := view.Holds(cond, w.tuple)
	if w.look == lookBoth && !w.holdsAfter(cond, ok, err) {
		w.fail(errChanging)
		return false
	}
	if err != nil {
		w.fail(w.evalError("condition "+cond.String(), err))
		return false
	}
	return ok
}

func (w *walker) finish() {
	if !w.holds(w.v.plan.Where) {
		return
	}
	if err := w.emit(); err != nil {
		w.fail(err)
	}
}

func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// EvalError says that an expression of a view cannot be computed over a row as the source would, where
// the outcome decides whether the row is in the view at all.
type EvalError struct {
	View string
	What string
	// Rows names the joined rows by table and key, for people.
	Rows string
	Err  error
}

// Error implements error.
func (e *EvalError) Error() string {
	return fmt.Sprintf("view %s: %s over %s: %v", e.View, e.What, e.Rows, e.Err)
}

// Unwrap returns the expression's error.
func (e *EvalError) Unwrap() error { return e.Err }

func (w *walker) evalError(what string, err error) error {
	rows := ""
	for i, row := range w.tuple {
		if row == nil {
			continue
		}
		t := w.v.inputs[i].table.shape
		rows += w.v.inputs[i].plan.Alias + "("
		for j, c := range t.Key {
			if j > 0 {
				rows += ", "
			}
			rows += row[c].String()
		}
		rows += ") "
	}
	return &EvalError{View: w.v.plan.Name, What: what, Rows: rows, Err: err}
}
