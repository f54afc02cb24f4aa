package joiner

import (
	"errors"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// Most updates change values that a view shows and none that decide which rows meet. The tuples that hold
// such a row are then the same before and after, but for the row itself: one walk finds both. That holds as
// long as
//
//   - no column is changed that a join compares,
//   - every condition over the tuple gives the same for the old row and for the new one,
//   - the walk meets no other row that the batch changes, and none that it leads to,
//   - the output key is the same.
//
// The walk checks this as it goes. Where it does not hold, what was put out is taken back, and the row is
// walked among the old rows and among the new ones, as any other change. NULL-extended tuples need no walk of
// their own here: whether a parent has a match has not changed by this row. No other walk meets these tuples,
// because they hold no other changed row: both sides are known at once.

// shows reports whether the view reads a column of the input that differs between two versions of a row.
func (in *inputState) shows(old, new change.Row) bool {
	if old == nil || new == nil {
		return true
	}
	differs := func(c int) bool { return old[c] != new[c] }
	return slices.ContainsFunc(in.plan.Columns, differs) || slices.ContainsFunc(in.edges, differs)
}

// update walks an updated row once, if that suffices.
func (w *walker) update(i int, n *entry) (done bool, err error) {
	if n.old == nil || n.new == nil {
		return false, nil
	}
	for _, c := range w.v.inputs[i].edges {
		if n.old[c] != n.new[c] {
			return false, nil
		}
	}
	w.updated, w.row = i, n.new
	sofar := w.b.acc.updates.len()
	err = w.through(i, n.old, lookBoth)
	if errors.Is(err, errChanging) {
		w.b.acc.updates.cut(sofar)
		clear(w.tuple)
		clear(w.bound)
		return false, nil
	}
	return true, err
}

// holdsAfter reports whether a condition that came out so over the old row does so over the new one.
func (w *walker) holdsAfter(cond view.Expr, before bool, failed error) bool {
	old := w.tuple[w.updated]
	w.tuple[w.updated] = w.row
	after, err := view.Holds(cond, w.tuple)
	w.tuple[w.updated] = old
	return failed == nil && err == nil && before == after
}

// collectUpdate computes the view's rows of the walker's tuple with the old row and with the new one.
func (b *Batch) collectUpdate(w *walker) error {
	old, now := w.outputs[0], w.outputs[1]
	key, problem, err := b.project(w, old, nil)
	if err != nil {
		return err
	}
	before := side{row: old, problem: problem, set: true}
	b.joinOld = append(b.joinOld[:0], key...)
	same := old
	if problem != nil {
		same = nil // the columns that have none are not known
	}
	row := w.tuple[w.updated]
	w.tuple[w.updated] = w.row
	key, problem, err = b.project(w, now, same)
	w.tuple[w.updated] = row
	if err != nil {
		return err
	}
	if string(key) != string(b.joinOld) {
		return errChanging
	}
	after := side{row: now, problem: problem, set: true}
	if before.equal(&after) {
		return nil
	}
	b.acc.updates.add(key, &before, &after)
	return nil
}
