package joiner

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// drain enters the waiting entries under the join keys of their new rows. Entries are never taken out
// again: whoever finds one checks that its row still has the key.
func (b *Batch) drain(t *table) {
	o := &b.tables[t.slot]
	if len(o.waiting) == 0 {
		return
	}
	if o.added == nil {
		o.added = make([]map[string][]*entry, len(t.indexes)+len(t.prefix))
		for i := range o.added {
			o.added[i] = map[string][]*entry{}
		}
	}
	for _, n := range o.waiting {
		for i := range o.added {
			x := t.indexAt(i)
			key, ok := x.appendEntry(b.joinOld[:0], n.new)
			b.joinOld = key
			if !ok {
				continue
			}
			have, found := o.added[i][string(key)]
			if n.listed && contains(have, n) {
				continue
			}
			if !found {
				o.added[i][b.arena.text(key)] = []*entry{n}
				b.mem += 80 + len(key)
				continue
			}
			o.added[i][string(key)] = append(have, n)
		}
		n.queued, n.listed = false, true
	}
	o.waiting = o.waiting[:0]
}

func contains(list []*entry, n *entry) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

func (t *table) indexAt(place int) *index {
	if place < len(t.indexes) {
		return t.indexes[place]
	}
	return t.prefix[place-len(t.indexes)]
}

// finder looks rows up through one access path, among the old rows or the new ones. It is reused: one
// finder serves one level of a walk, where only one lookup runs at a time.
type finder struct {
	b     *Batch
	a     *access
	new   bool
	key   []byte
	end   []byte
	yield func(n *entry, row change.Row) bool
	rowFn func(key []byte, row change.Row) bool
	keyFn func(key []byte) bool
	more  bool
	err   error
}

func newFinder(a *access, yield func(n *entry, row change.Row) bool) *finder {
	f := &finder{a: a, yield: yield}
	f.rowFn, f.keyFn = f.onRow, f.onKey
	return f
}

// find yields the rows that match src; the entry is nil where the overlay does not touch the row. It
// reports whether the iteration ran to its end.
func (f *finder) find(src change.Row, new bool) (bool, error) {
	key, ok := f.a.index.appendLookup(f.key[:0], src, f.a.from)
	f.key = key
	if !ok {
		return true, nil
	}
	return f.findKey(new)
}

// findKey is find by the join key in f.key.
func (f *finder) findKey(new bool) (bool, error) {
	t, b := f.a.table, f.b
	o := &b.tables[t.slot]
	f.new, f.more, f.err = new, true, nil
	if f.a.whole {
		return f.findOne(o)
	}
	if len(o.rows) > 0 {
		b.drain(t)
	}
	var err error
	if f.a.index.slot < 0 {
		f.end = prefixEnd(f.end, f.key)
		err = b.state.Rows(t.slot, f.key, f.end, f.rowFn)
	} else {
		err = b.state.Index(f.a.index.slot, f.key, f.keyFn)
	}
	if err == nil {
		err = f.err
	}
	if err != nil {
		return false, fmt.Errorf("look up rows of %s: %w", t.shape.ID, err)
	}
	if !f.more || !new || o.added == nil {
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

// isStill reports whether the entry's new row still has the join key looked up.
func (f *finder) isStill(n *entry) bool {
	key, ok := f.a.index.appendEntry(f.b.joinOld[:0], n.new)
	f.b.joinOld = key
	return ok && string(key) == string(f.key)
}

func (f *finder) findOne(o *overlay) (bool, error) {
	n := o.rows[string(f.key)]
	if n != nil && f.new && n.touched() {
		if n.new == nil {
			return true, nil
		}
		return f.yield(n, n.new), nil
	}
	row, err := f.b.state.Row(f.a.table.slot, f.key)
	if err != nil {
		return false, fmt.Errorf("look up row of %s: %w", f.a.table.shape.ID, err)
	}
	if row == nil {
		return true, nil
	}
	return f.yield(n, row), nil
}

func (f *finder) onRow(key []byte, row change.Row) bool {
	n := f.b.tables[f.a.table.slot].rows[string(key)]
	if n != nil && f.new && n.touched() {
		return true // its new row, if it matches, is found in the overlay
	}
	f.more = f.yield(n, row)
	return f.more
}

func (f *finder) onKey(key []byte) bool {
	t := f.a.table
	n := f.b.tables[t.slot].rows[string(key)]
	if n != nil && f.new && n.touched() {
		return true
	}
	row, err := f.b.state.Row(t.slot, key)
	if err == nil && row == nil {
		err = fmt.Errorf("index %s of %s names key %x, which has no row: the state is damaged; delete the state directory to rebuild it", f.a.index.name, t.shape.ID, key)
	}
	if err != nil {
		f.err, f.more = err, false
		return false
	}
	f.more = f.yield(n, row)
	return f.more
}

func compareEntries(x, y *entry) int { return strings.Compare(x.key, y.key) }
