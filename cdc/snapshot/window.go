package snapshot

import (
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Window keeps the changes of a range from its registration on, and rolls what was read forward to a
// later boundary. All of them are applied, in order; none is left out because the read may have seen it:
// the last change of a key decides, and it lies at or behind what the read saw.
type Window struct {
	table     *change.Table
	rng       change.KeyRange
	unordered bool
	limit     int
	kept      []keptChange
	spoiled   string
}

// keptChange is one effect inside the range: row is nil of a removal.
type keptChange struct {
	key change.Key
	row change.Row
}

// NewWindow registers a range: from now on Note must see every event of the table. limit is the number of
// changes above which the window gives up. An unordered window stands for one piece of a table whose keys
// order otherwise on the server: it rolls forward the keys that were read, and only them.
func NewWindow(t *change.Table, rng change.KeyRange, unordered bool, limit int) *Window {
	return &Window{table: t, rng: rng, unordered: unordered, limit: limit}
}

// Note takes an event of the table.
func (w *Window) Note(ev *change.Event) error {
	if w.spoiled != "" {
		return nil
	}
	if len(w.table.Key) == 0 {
		// Nothing tells which of the rows read the event means, or whether the read has seen it.
		w.Spoil("a change of a table without a key")
		return nil
	}
	if ev.Before != nil {
		if err := w.keep(ev.Before, nil); err != nil {
			return err
		}
	}
	if ev.After != nil {
		return w.keep(ev.After, ev.After)
	}
	return nil
}

func (w *Window) keep(of, row change.Row) error {
	k, err := w.table.RowKey(of)
	if err != nil {
		return err
	}
	if !w.unordered && !w.rng.Contains(k) {
		return nil
	}
	if len(w.kept) >= w.limit {
		w.Spoil(fmt.Sprintf("more than %d changes", w.limit))
		return nil
	}
	w.kept = append(w.kept, keptChange{k, row})
	return nil
}

// Spoil voids the window (DDL of the table, an unlogged cascade into it): the chunk must be read again.
func (w *Window) Spoil(reason string) {
	w.spoiled, w.kept = reason, nil
}

// Spoiled says why the chunk must be read again; "" when it need not.
func (w *Window) Spoiled() string { return w.spoiled }

// Roll returns the exact content of the range at this boundary, in order of keys: what was read, with the
// kept changes applied. Rows without a key stay as they were read. The window must not be used afterwards.
func (w *Window) Roll(rows []change.Row) ([]change.Row, error) {
	if len(w.table.Key) == 0 {
		return rows, nil
	}
	content := make(map[change.Key]change.Row, len(rows))
	read := make(map[change.Key]bool, len(rows))
	for _, r := range rows {
		k, err := w.table.RowKey(r)
		if err != nil {
			return nil, err
		}
		content[k], read[k] = r, true
	}
	for _, c := range w.kept {
		switch {
		case c.row == nil:
			delete(content, c.key)
		case !w.unordered || read[c.key]:
			content[c.key] = c.row
		}
	}
	keys := make([]change.Key, 0, len(content))
	for k := range content {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]change.Row, len(keys))
	for i, k := range keys {
		out[i] = content[k]
	}
	return out, nil
}
