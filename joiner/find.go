package joiner

import (
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// look says which rows a lookup sees.
type look uint8

const (
	lookOld  look = iota // the state's
	lookNew              // the state's under the batch's changes
	lookBoth             // those that both have; errChanging when the two differ
)

// errChanging ends a lookup of lookBoth where the batch changes what is to be found.
var errChanging = errors.New("the batch changes other rows of the tuple as well")

// finder looks rows up through one access path. It is reused: one finder serves one level of a walk, where
// only one lookup runs at a time.
type finder struct {
	b     *Batch
	a     *access
	look  look
	key   []byte
	end   []byte
	yield func(n *entry, row change.Row) bool
	rowFn func(key []byte, row change.Row) bool
	keyFn func(key []byte) bool
	more  bool
	err   error
	memo  memo
}

func newFinder(a *access, yield func(n *entry, row change.Row) bool) *finder {
	f := &finder{a: a, yield: yield}
	f.rowFn, f.keyFn = f.onRow, f.onKey
	return f
}

// find yields the rows that match src; the entry is nil where the overlay does not touch the row. It
// reports whether the iteration ran to its end.
func (f *finder) find(src change.Row, l look) (bool, error) {
	key, ok := f.a.index.appendLookup(f.key[:0], src, f.a.from)
	f.key = key
	if !ok {
		return true, nil
	}
	f.look, f.more, f.err = l, true, nil
	t := f.a.table
	o := &f.b.tables[t.slot]
	if f.a.whole {
		return f.findOne(o)
	}
	if len(o.rows) > 0 {
		f.b.drain(t)
		if l == lookBoth && f.changing(o) {
			return false, errChanging
		}
	}
	if err := f.stored(); err != nil {
		return false, err
	}
	if !f.more || l != lookNew || o.added == nil {
		return f.more, nil
	}
	for _, n := range o.added[f.a.index.place][string(f.key)] {
		if !f.isStill(n) {
			continue
		}
		if !f.yield(n, n.new) {
			return false, nil
		}
	}
	return true, nil
}

// stored offers the state's rows that have the join key in f.key.
func (f *finder) stored() error {
	if rows, ok := f.memo.get(f.b.e, f.key); ok {
		for i := range rows {
			if !f.onRow(rows[i].key, rows[i].row) {
				break
			}
		}
		return f.err
	}
	f.memo.begin()
	t := f.a.table
	var err error
	if f.a.index.slot < 0 {
		f.end = prefixEnd(f.end, f.key)
		err = f.b.state.Rows(t.slot, f.key, f.end, f.rowFn)
	} else {
		err = f.b.state.Index(f.a.index.slot, f.key, f.keyFn)
	}
	switch {
	case err != nil:
		return fmt.Errorf("look up rows of %s: %w", t.shape.ID, err)
	case f.err != nil:
		return f.err
	case f.more:
		f.memo.put(f.key)
	}
	return nil
}

// changing reports whether the batch changes a row that has, or now gets, the join key in f.key.
func (f *finder) changing(o *overlay) bool {
	if o.added != nil {
		for _, n := range o.added[f.a.index.place][string(f.key)] {
			if n.changed {
				return true
			}
		}
	}
	return false // those that had the key are met among the stored ones
}

// isStill reports whether the entry's new row still has the join key looked up.
func (f *finder) isStill(n *entry) bool {
	key, ok := f.a.index.appendEntry(f.b.joinOld[:0], n.new)
	f.b.joinOld = key
	return ok && string(key) == string(f.key)
}

// findOne looks up by the whole primary key.
func (f *finder) findOne(o *overlay) (bool, error) {
	n := o.rows[string(f.key)]
	if n != nil && f.look == lookNew && n.touched() {
		if n.new == nil {
			return true, nil
		}
		return f.yield(n, n.new), nil
	}
	if n != nil && f.look == lookBoth && n.changed {
		return false, errChanging
	}
	row, ok := f.memo.one(f.b.e, f.key)
	if !ok {
		var err error
		if row, err = f.b.state.Row(f.a.table.slot, f.key); err != nil {
			return false, fmt.Errorf("look up row of %s: %w", f.a.table.shape.ID, err)
		}
		f.memo.begin()
		if row != nil {
			f.memo.add(nil, row)
		}
		f.memo.put(f.key)
	}
	if row == nil {
		return true, nil
	}
	return f.yield(n, row), nil
}

// onRow offers a stored row.
func (f *finder) onRow(key []byte, row change.Row) bool {
	f.memo.add(key, row)
	n := f.b.tables[f.a.table.slot].rows[string(key)]
	if n != nil && f.look != lookOld {
		if f.look == lookNew && n.touched() {
			return true // its new row, if it matches, is found in the overlay
		}
		if f.look == lookBoth && n.changed {
			f.err, f.more = errChanging, false
			return false
		}
	}
	f.more = f.yield(n, row)
	return f.more
}

// onKey offers the row of a key that an index names.
func (f *finder) onKey(key []byte) bool {
	t := f.a.table
	row, err := f.b.state.Row(t.slot, key)
	if err == nil && row == nil {
		err = fmt.Errorf("look up rows of %s: index %s names key %x, which has no row: the state is damaged; delete the state directory to rebuild it", t.shape.ID, f.a.index.name, key)
	}
	if err != nil {
		f.err, f.more = err, false
		return false
	}
	return f.onRow(key, row)
}
