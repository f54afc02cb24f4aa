package joiner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Flush writes the batch's net changes of the state, sorted by table and key. The caller makes them
// durable together with its Marks; when it cannot, the batch never happened. Call it once, last.
func (b *Batch) Flush(w Writer) error {
	if err := b.resolve(); err != nil {
		return err
	}
	if err := b.flush(w); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	b.e.stats.add(b.stats)
	return nil
}

func (b *Batch) flush(w Writer) error {
	for _, t := range b.e.tables {
		if err := b.flushNotes(w, t); err != nil {
			return err
		}
	}
	if b.spills > 0 {
		if err := b.moveRows(); err != nil {
			return err
		}
		return b.flushScratch(w)
	}
	for _, t := range b.e.tables {
		for _, n := range b.tables[t.slot].list {
			if !n.changed {
				continue
			}
			if err := b.flushRow(w, t, []byte(n.key), n.old, n.new); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Batch) flushNotes(w Writer, t *table) error {
	o := &b.tables[t.slot]
	if o.clear {
		if err := w.ClearNotes(t.slot); err != nil {
			return err
		}
	}
	keys := make([]string, 0, len(o.noted))
	for k := range o.noted {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	for _, k := range keys {
		if err := w.Note(t.slot, []byte(k)); err != nil {
			return err
		}
	}
	if !o.notesMoved {
		return nil
	}
	var failed error
	lo := scratchPrefix(nil, scratchNote, t.slot)
	err := b.scratch.Range(lo, prefixEnd(nil, lo), func(key, _ []byte) bool {
		failed = w.Note(t.slot, key[scratchPrefixSize:])
		return failed == nil
	})
	return errors.Join(failed, err)
}

// flushRow writes the difference between two versions of a row and of its index entries.
func (b *Batch) flushRow(w Writer, t *table, key []byte, old, new change.Row) error {
	if err := w.SetRow(t.slot, key, new); err != nil {
		return err
	}
	for _, x := range t.indexes {
		was, had := x.appendEntry(b.joinOld[:0], old)
		is, has := x.appendEntry(b.joinBuf[:0], new)
		b.joinOld, b.joinBuf = was, is
		if had && has && string(was) == string(is) {
			continue
		}
		if had {
			if err := w.SetIndex(x.slot, was, key, false); err != nil {
				return err
			}
		}
		if has {
			if err := w.SetIndex(x.slot, is, key, true); err != nil {
				return err
			}
		}
	}
	return nil
}
