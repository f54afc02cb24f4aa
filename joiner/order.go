package joiner

import (
	"bytes"
	"slices"
)

// changedInputs counts the view's inputs whose tables the batch touches.
func (b *Batch) changedInputs(v *viewState) int {
	n := 0
	for i := range v.inputs {
		if len(b.tables[v.inputs[i].table.slot].list) > 0 {
			n++
		}
	}
	return n
}

// changedRows lists the changed rows of an input in the order of what a walk looks up first: the parent's
// rows by their join key. Sorted lookups find one neighbour after the other in the state, and a parent only
// once. Rows of the first input are in the order of their keys, in which most indexes hold their children.
// Without the rows, if any, that the view does not show (see evaluate).
func (b *Batch) changedRows(in *inputState, onlyShown bool) []*entry {
	list := b.tables[in.table.slot].list
	rows := make([]*entry, 0, len(list))
	for _, n := range list {
		if n.changed && !(onlyShown && !in.shows(n.old, n.new)) {
			rows = append(rows, n)
		}
	}
	if in.parent < 0 || len(rows) < 2 {
		return rows
	}
	type placed struct {
		at, end int
		n       *entry
	}
	var keys []byte
	order := make([]placed, len(rows))
	for i, n := range rows {
		row := n.old
		if row == nil {
			row = n.new
		}
		at := len(keys)
		keys, _ = in.up.index.appendLookup(keys, row, in.up.from) // of NULL a part: it finds nothing
		order[i] = placed{at, len(keys), n}
	}
	slices.SortStableFunc(order, func(x, y placed) int { return bytes.Compare(keys[x.at:x.end], keys[y.at:y.end]) })
	for i := range order {
		rows[i] = order[i].n
	}
	return rows
}
