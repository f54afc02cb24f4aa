package joiner_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
)

// chunk yields the source's rows in the range, in key order.
func (h *harness) chunk(t *change.Table, r change.KeyRange) iter.Seq2[change.Event, error] {
	return func(yield func(change.Event, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(h.src.Rows[t.ID])) {
			if !r.Contains(k) {
				continue
			}
			if !yield(change.Event{Table: t, Op: change.Read, After: h.src.Rows[t.ID][k].Clone()}, nil) {
				return
			}
		}
	}
}

// spoil makes the state wrong in one table: rows lost, changed and invented, as after a gap.
func (h *harness) spoil(t *change.Table) error {
	return h.emitting(func(b *joiner.Batch) error {
		keys := slices.Sorted(maps.Keys(h.src.Rows[t.ID]))
		for range 1 + h.r.Intn(4) {
			ev := change.Event{Table: t, Op: change.Read, After: h.row(t)}
			if len(keys) > 0 && h.r.Intn(2) == 0 {
				k := keys[h.r.Intn(len(keys))]
				ev = change.Event{Table: t, Op: change.Delete, Before: h.src.Rows[t.ID][k].Clone(), Flags: change.NoForeignKeys}
			}
			if err := b.Apply(&ev); err != nil {
				return err
			}
		}
		return nil
	})
}

// ranges cuts a table's keys into ranges without a gap.
func (h *harness) ranges(t *change.Table) []change.KeyRange {
	keys := slices.Sorted(maps.Keys(h.src.Rows[t.ID]))
	var rs []change.KeyRange
	r := change.WholeTable()
	for i, k := range keys {
		if i > 0 && h.r.Intn(3) == 0 {
			r.Hi, r.HasHi = k, true
			rs = append(rs, r)
			r = change.KeyRange{Lo: k, HasLo: true}
		}
	}
	return append(rs, r)
}

// TestCoversHeal spoils the state and covers table after table, by ranges or as unordered units, while
// the source goes on changing; the outputs must add up to the true views at the end.
func TestCoversHeal(t *testing.T) {
	t.Parallel()
	seeds(t, func(seed int64) error {
		h, err := newHarness(seed)
		if err != nil {
			return err
		}
		for _, s := range h.shapes {
			s.ForeignKeys = nil
		}
		if h.e, err = joiner.New(h.plans); err != nil {
			return err
		}
		for range 30 {
			h.statement(h.src)
		}
		if err := h.streamed(h.src.Commit()); err != nil {
			return err
		}
		for range 3 {
			tables := h.e.Tables()
			shape := tables[h.r.Intn(len(tables))].Shape
			if err := h.heal(shape); err != nil {
				return fmt.Errorf("heal %s: %w\n%s", shape.ID, err, h.describe())
			}
		}
		return nil
	})
}

func (h *harness) heal(t *change.Table) error {
	if err := h.spoil(t); err != nil {
		return err
	}
	if h.r.Intn(2) == 0 {
		for _, r := range h.ranges(t) {
			h.statement(h.src)
			if err := h.streamed(h.src.Commit()); err != nil {
				return err
			}
			c := &change.Cover{ID: "c", Table: t.ID.String(), Range: r}
			if err := h.emitting(func(b *joiner.Batch) error { return b.Cover(t.ID, c, h.chunk(t, r)) }); err != nil {
				return err
			}
		}
		return h.batch(nil)
	}
	h.opts.Note = []change.TableID{t.ID}
	if err := h.emitting(func(b *joiner.Batch) error { b.BeginNotes(t.ID); return nil }); err != nil {
		return err
	}
	for _, r := range h.ranges(t) {
		h.statement(h.src)
		if err := h.streamed(h.src.Commit()); err != nil {
			return err
		}
		c := &change.Cover{ID: "c", Table: t.ID.String(), Range: r, Unordered: true}
		if err := h.emitting(func(b *joiner.Batch) error { return b.Cover(t.ID, c, h.chunk(t, r)) }); err != nil {
			return err
		}
	}
	if err := h.emitting(func(b *joiner.Batch) error { return b.Sweep(t.ID) }); err != nil {
		return err
	}
	h.opts.Note = nil
	return h.batch(nil)
}

// streamed applies events without comparing with the source, which the state may not equal yet.
func (h *harness) streamed(evs []change.Event) error {
	return h.emitting(func(b *joiner.Batch) error {
		for i := range evs {
			if err := b.Apply(&evs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *harness) emitting(fill func(*joiner.Batch) error) error {
	b, err := h.e.Begin(h.state, h.opts)
	if err != nil {
		return err
	}
	if err := fill(b); err != nil {
		return err
	}
	for _, p := range h.plans {
		if err := h.fold(p.Name, b); err != nil {
			return err
		}
	}
	if err := b.Flush(h.state); err != nil {
		return err
	}
	return b.Close()
}
