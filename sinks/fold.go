package sinks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Net is what a run of events did to one key in the end.
type Net struct {
	Key change.Key
	// Row is the row as it is now; of a deleted one it is the row before, of which only key columns count.
	Row    change.Row
	Delete bool
	// Seq of the last event of the key.
	Seq change.Seq
	// Table is the row's shape.
	Table *change.Table
	// Refused, unless empty, is why the row is poison whatever the destination says of it (Event.Refused).
	Refused string
}

// Fold nets events per table and key: the last per key wins, and a key that moves is a delete of the old
// and an upsert of the new. Memory is the caller's concern: when MemSize passes its limit it drains the
// tables, in the order of events, and goes on; a later drain wins over an earlier one.
type Fold struct {
	tables map[string]*foldTable
	bytes  int
}

type foldTable struct {
	index map[change.Key]int
	nets  []Net
}

const netOverhead = 160 // bytes of a Net, its map entry and its key's header

// NewFold returns an empty Fold.
func NewFold() *Fold { return &Fold{tables: map[string]*foldTable{}} }

// Add folds one event of the named table in. The Fold keeps the event's rows.
func (f *Fold) Add(table string, ev *change.Event) error {
	t := f.tables[table]
	if t == nil {
		t = &foldTable{index: map[change.Key]int{}}
		f.tables[table] = t
	}
	if ev.Op == change.Delete {
		key, err := ev.Table.RowKey(ev.Before)
		if err != nil {
			return keyError(ev, err)
		}
		f.put(t, Net{Key: key, Row: ev.Before, Delete: true, Seq: ev.Seq, Table: ev.Table})
		return nil
	}
	row, err := keyed(ev)
	if err != nil {
		return keyError(ev, err)
	}
	key, err := ev.Table.RowKey(row)
	if err != nil {
		return keyError(ev, err)
	}
	if ev.Op == change.Update && ev.Before != nil {
		old, err := ev.Table.RowKey(ev.Before)
		switch {
		case errors.Is(err, change.ErrAbsent): // a partial image leaves out what did not change
		case err != nil:
			return keyError(ev, err)
		case old != key:
			f.put(t, Net{Key: old, Row: ev.Before, Delete: true, Seq: ev.Seq, Table: ev.Table})
		}
	}
	f.put(t, Net{Key: key, Row: row, Seq: ev.Seq, Table: ev.Table, Refused: ev.Refused})
	return nil
}

func keyError(ev *change.Event, err error) error {
	return &StopError{
		What: fmt.Sprintf("fold %s %d of %s", ev.Op, ev.Seq, ev.Table.ID), Err: err,
		Hint: "a row whose key is not known cannot be applied: let the source log full row images and resync the table",
	}
}

// keyed returns the row after the change with key columns that were not transmitted taken from before.
func keyed(ev *change.Event) (change.Row, error) {
	row := ev.After
	if len(row) != len(ev.Table.Columns) {
		return nil, fmt.Errorf("the row has %d values for %d columns", len(row), len(ev.Table.Columns))
	}
	for _, c := range ev.Table.Key {
		if row[c].IsAbsent() && ev.Before != nil && !ev.Before[c].IsAbsent() {
			if &row[0] == &ev.After[0] {
				row = row.Clone()
			}
			row[c] = ev.Before[c]
		}
	}
	return row, nil
}

func (f *Fold) put(t *foldTable, n Net) {
	if i, ok := t.index[n.Key]; ok {
		f.bytes += n.Row.MemSize() - t.nets[i].Row.MemSize()
		t.nets[i] = n
		return
	}
	t.index[n.Key] = len(t.nets)
	t.nets = append(t.nets, n)
	f.bytes += n.Row.MemSize() + 2*len(n.Key) + netOverhead
}

// MemSize estimates the bytes of memory held.
func (f *Fold) MemSize() int { return f.bytes }

// Tables returns the tables that hold something, in order.
func (f *Fold) Tables() []string {
	names := make([]string, 0, len(f.tables))
	for t := range f.tables {
		names = append(names, t)
	}
	slices.Sort(names)
	return names
}

// Drain returns the net changes of a table in key order and forgets them.
func (f *Fold) Drain(table string) []Net {
	t := f.tables[table]
	if t == nil {
		return nil
	}
	delete(f.tables, table)
	for i := range t.nets {
		f.bytes -= t.nets[i].Row.MemSize() + 2*len(t.nets[i].Key) + netOverhead
	}
	slices.SortFunc(t.nets, func(a, b Net) int { return cmp.Compare(a.Key, b.Key) })
	return t.nets
}
