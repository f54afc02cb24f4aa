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
			b.mem += row.MemSize()
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
		o.clear, o.noted = true, nil
	}
}

// Sweep ends an unordered cover of the table: rows whose keys were not noted since BeginNotes are
// removed, and the notes are cleared.
func (b *Batch) Sweep(id change.TableID) error {
	t := b.e.byID[id]
	if t == nil {
		return nil
	}
	o := &b.tables[t.slot]
	var stale [][]byte
	var failed error
	scan := func(yield func(key []byte, row change.Row) bool) error {
		return b.state.Rows(t.slot, nil, nil, yield)
	}
	err := scan(func(key []byte, _ change.Row) bool {
		if _, ok := o.noted[string(key)]; ok {
			return true
		}
		var noted bool
		if !o.clear {
			if noted, failed = b.base.Noted(t.slot, key); failed != nil {
				return false
			}
		}
		if !noted {
			stale = append(stale, append([]byte(nil), key...))
		}
		return true
	})
	if err == nil {
		err = failed
	}
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
	o.note, o.noted, o.clear = false, nil, true
	return nil
}
