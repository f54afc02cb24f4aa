package joiner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// load reads the state's row of an entry.
func (b *Batch) load(t *table, n *entry) error {
	if n.loaded {
		return nil
	}
	row, err := b.state.Row(t.slot, []byte(n.key))
	if err != nil {
		return err
	}
	b.loadedAs(n, row)
	return nil
}

func (b *Batch) loadedAs(n *entry, row change.Row) {
	n.old, n.loaded = row, true
	if n.check != unchecked {
		if !agrees(n.check, n.before, row) {
			b.stats.Mismatches++
		} else if n.before != nil && n.before.Equal(row) {
			n.old = n.before // one of the two is enough
			b.mem -= row.MemSize()
		}
		n.check, n.before = unchecked, nil
	}
	b.mem += row.MemSize()
	if !n.touched() {
		n.new = row
	}
}

// resolve loads the state's rows of all entries, in key order, after which the net changes are known.
func (b *Batch) resolve() error {
	if b.seen {
		return nil
	}
	if b.moved != nil {
		return fmt.Errorf("resolve batch: the delete of a moved key in %s is not followed by its insert", b.moved.Table.ID)
	}
	for _, t := range b.e.tables {
		o := &b.tables[t.slot]
		if !o.sorted {
			slices.SortFunc(o.list, compareEntries)
			o.sorted = true
		}
		if err := b.loadAll(t, o.list); err != nil {
			return fmt.Errorf("read stored rows of %s: %w", t.shape.ID, err)
		}
		for _, n := range o.list {
			n.changed = differ(n.old, n.new)
		}
	}
	b.seen = true
	return nil
}

const (
	// loadStep is how many entries are looked up one by one before a scan is tried, and tried again
	// (Engine.loadStep, save in tests).
	loadStep = 64
	// loadGap is how many stored rows between two entries a scan passes over before it is given up.
	loadGap = 8
)

// loadAll reads the state's rows of entries sorted by key. A statement that changes every row of a table, or
// many neighbours, has them read by a scan, which costs a fraction of looking each of them up.
func (b *Batch) loadAll(t *table, list []*entry) error {
	for len(list) > 0 {
		step := min(b.e.loadStep, len(list))
		for _, n := range list[:step] {
			if err := b.load(t, n); err != nil {
				return err
			}
		}
		list = list[step:]
		for len(list) > 0 && list[0].loaded {
			list = list[1:]
		}
		rest, err := b.loadNeighbours(t, list)
		if err != nil {
			return err
		}
		list = rest
	}
	return nil
}

// loadNeighbours scans the state from the first entry on, as long as most of what it meets belongs to entries.
// It returns the entries that are left.
func (b *Batch) loadNeighbours(t *table, list []*entry) ([]*entry, error) {
	if len(list) < b.e.loadStep || len(list) == 0 {
		return list, nil
	}
	gap := 0
	err := b.state.Rows(t.slot, []byte(list[0].key), nil, func(key []byte, row change.Row) bool {
		for len(list) > 0 && list[0].key < string(key) {
			if !list[0].loaded {
				b.loadedAs(list[0], nil)
			}
			list = list[1:]
		}
		switch {
		case len(list) == 0:
			return false
		case list[0].key != string(key):
			gap++
			return gap <= loadGap
		case !list[0].loaded:
			b.loadedAs(list[0], row)
		}
		list, gap = list[1:], 0
		return len(list) > 0
	})
	return list, err
}

func compareEntries(x, y *entry) int { return strings.Compare(x.key, y.key) }
