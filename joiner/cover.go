package joiner

import (
	"fmt"
	"iter"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Cover applies a chunk: rows are exactly what the table holds in the cover's range at this place of the
// stream, so what the state holds in the range and the chunk does not is removed. A chunk without a
// range (NoRange, Unordered) removes nothing.
func (b *Batch) Cover(id change.TableID, c *change.Cover, rows iter.Seq2[change.Event, error]) error {
	t := b.e.byID[id]
	if t == nil {
		b.stats.Ignored++
		return nil
	}
	exact := !c.NoRange && !c.Unordered
	if exact {
		if err := b.loadRange(t, c.Range); err != nil {
			return fmt.Errorf("cover %s: read stored rows: %w", id, err)
		}
	}
	had := map[string]*entry(nil)
	if exact {
		had = b.entriesIn(t, c.Range)
	}
	for ev, err := range rows {
		if err != nil {
			return fmt.Errorf("cover %s: %w", id, err)
		}
		b.stats.Events++
		row, err := t.fit(ev.Table, ev.After)
		if err != nil {
			return fmt.Errorf("cover %s: %w", id, err)
		}
		key, err := t.shape.AppendRowKey(b.keyBuf[:0], row)
		if err != nil {
			return fmt.Errorf("cover %s: %w", id, err)
		}
		b.keyBuf = key
		if exact && !c.Range.Contains(change.Key(key)) {
			return fmt.Errorf("cover %s: row %x lies outside the chunk's range", id, key)
		}
		n := b.entry(t, key)
		if exact {
			n.loaded = true // the whole range has been read
			delete(had, n.key)
		}
		if err := b.complete(t, n, n, row); err != nil {
			return fmt.Errorf("cover %s: %w", id, err)
		}
		b.set(t, n, row)
	}
	for _, n := range had {
		b.set(t, n, nil)
	}
	return b.spillIfFull()
}

// loadRange makes an entry of every stored row in the range.
func (b *Batch) loadRange(t *table, r change.KeyRange) error {
	var hi []byte
	if r.HasHi {
		hi = []byte(r.Hi)
	}
	return b.state.Rows(t.slot, []byte(r.Lo), hi, func(key []byte, row change.Row) bool {
		n := b.entry(t, key)
		if !n.loaded {
			b.loadedAs(n, row)
		}
		return true
	})
}

// entriesIn returns the entries in the range that hold a row.
func (b *Batch) entriesIn(t *table, r change.KeyRange) map[string]*entry {
	in := map[string]*entry{}
	for _, n := range b.tables[t.slot].list {
		if n.new != nil && r.Contains(change.Key(n.key)) {
			in[n.key] = n
		}
	}
	return in
}

// BeginNotes clears the table's notes: an unordered cover of it begins. Pass the table in Options.Note
// of this batch and all that follow until the cover's end.
func (b *Batch) BeginNotes(id change.TableID) {
	if t := b.e.byID[id]; t != nil {
		o := &b.tables[t.slot]
		o.clear, o.noted, o.notesMoved = true, nil, false
	}
}

// Sweep ends an unordered cover of the table: rows whose keys were not noted since BeginNotes are
// removed, and the notes are cleared.
func (b *Batch) Sweep(id change.TableID) error {
	t := b.e.byID[id]
	if t == nil {
		return nil
	}
	var from []byte
	for {
		stale, next, err := b.staleRows(t, from)
		if err != nil {
			return fmt.Errorf("sweep %s: %w", id, err)
		}
		for _, key := range stale {
			n := b.entry(t, key)
			if n.touched() {
				continue // streamed in this batch
			}
			b.set(t, n, nil)
			if err := b.spillIfFull(); err != nil {
				return err
			}
		}
		if next == nil {
			break
		}
		from = next
	}
	o := &b.tables[t.slot]
	o.note, o.noted, o.notesMoved, o.clear = false, nil, false, true
	return nil
}

// sweepRows is how many stale rows are looked for at once.
const sweepRows = 10_000

// staleRows returns stored rows from a key on that were not noted, and where to go on, nil at the end.
func (b *Batch) staleRows(t *table, from []byte) (stale [][]byte, next []byte, err error) {
	o := &b.tables[t.slot]
	var failed error
	err = b.state.Rows(t.slot, from, nil, func(key []byte, _ change.Row) bool {
		if len(stale) == sweepRows {
			next = append([]byte{}, key...)
			return false
		}
		var noted bool
		if noted, failed = b.noted(t, o, key); failed != nil {
			return false
		}
		if !noted {
			stale = append(stale, append([]byte(nil), key...))
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return stale, next, err
}

func (b *Batch) noted(t *table, o *overlay, key []byte) (bool, error) {
	if _, ok := o.noted[string(key)]; ok {
		return true, nil
	}
	if o.notesMoved {
		k := append(scratchPrefix(nil, scratchNote, t.slot), key...)
		if _, ok, err := b.scratch.Get(k); ok || err != nil {
			return ok, err
		}
	}
	if o.clear {
		return false, nil
	}
	return b.base.Noted(t.slot, key)
}
