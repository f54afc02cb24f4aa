package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// writer writes net changes into a visible or a staging table.
type writer struct {
	a       *apply
	t       *table
	from    string
	into    rows
	soft    bool
	extra   sinks.Extra
	uniques []string
	visible bool
}

// write applies net changes, deletes first; a chunk's range deletes what it holds and the chunk does not.
func (w writer) write(nets []sinks.Net) error {
	if w.a.b.Kind == change.Chunk && w.a.step.DeleteRange {
		w.removeRange(nets)
	}
	var upserts []sinks.Net
	deletes := func() {
		for _, n := range nets {
			if n.Delete {
				w.remove(n.Key)
				w.clear(n)
			}
		}
	}
	if w.a.s.o.Break != sinks.BreakDeletesLast {
		deletes()
	}
	for _, n := range nets {
		if n.Delete {
			continue
		}
		n.Row, n.Table = project(n.Row, n.Table, w.t.shape), w.t.shape
		reason := n.Refused
		if reason == "" {
			reason = w.refusal(n.Row)
		}
		if reason == "" {
			upserts = append(upserts, n)
		} else if err := w.poison(n, reason); err != nil {
			return err
		}
	}
	if err := w.upsert(upserts); err != nil {
		return err
	}
	if w.a.s.o.Break == sinks.BreakDeletesLast {
		deletes()
		w.deleteReplaced()
	}
	return nil
}

// deleteReplaced is what deleting last does to a key that was deleted and inserted in one batch.
func (w writer) deleteReplaced() {
	for ev := range w.a.b.Events(context.Background()) {
		if ev.Op == change.Delete && ev.Table.ID.String() == w.from {
			if k, err := ev.Key(); err == nil {
				w.remove(k)
			}
		}
	}
}

func (w writer) removeRange(nets []sinks.Net) {
	r := w.a.b.Cover.Range
	held := make(map[change.Key]bool, len(nets))
	for _, n := range nets {
		held[n.Key] = true
	}
	for _, k := range slices.Sorted(maps.Keys(w.into)) {
		if r.Contains(k) && !held[k] {
			w.remove(k)
		}
	}
	if w.visible { // the chunk tells of all its keys anew
		w.a.forget(w.from, func(e Entry) bool {
			row, err := sinks.ParseKey(e.Key, w.t.shape.KeyTypes())
			return err == nil && r.Contains(change.KeyOf(row...))
		})
	}
}

// upsert writes rows that are not identical to what is there. Rows whose value in a unique index changes
// are taken out first, so that two can swap.
func (w writer) upsert(nets []sinks.Net) error {
	taken := map[change.Key]Row{}
	for _, n := range nets {
		if old, ok := w.into[n.Key]; ok && w.movesUnique(old.Row, n.Row) {
			taken[n.Key] = old
			w.set(n.Key, Row{}, false)
		}
	}
	for _, n := range nets {
		if reason := w.clash(n); reason != "" {
			if old, ok := taken[n.Key]; ok {
				w.set(n.Key, old, true)
			}
			if err := w.poison(n, reason); err != nil {
				return err
			}
			continue
		}
		w.clear(n)
		if old, ok := w.into[n.Key]; ok && !old.Deleted && old.Row.Equal(n.Row) {
			continue
		}
		w.a.s.db.writes++
		w.set(n.Key, w.written(n.Row, n.Seq), true)
	}
	return nil
}

func (w writer) movesUnique(old, now change.Row) bool {
	return slices.ContainsFunc(w.uniques, func(u string) bool {
		c := w.t.shape.Column(u)
		return old[c] != now[c]
	})
}

func (w writer) clash(n sinks.Net) string {
	for _, u := range w.uniques {
		c := w.t.shape.Column(u)
		for k, other := range w.into {
			if k != n.Key && !n.Row[c].IsNull() && other.Row[c] == n.Row[c] {
				return "another row has this value of " + u
			}
		}
	}
	return ""
}

// refusal says why the destination cannot take a row.
func (w writer) refusal(row change.Row) string {
	for i, v := range row {
		if v.IsAbsent() {
			return fmt.Sprintf("column %s was not transmitted", w.t.shape.Columns[i].Name)
		}
	}
	if reason := w.t.tooWide(row); reason != "" {
		return reason
	}
	for _, r := range w.t.refused {
		if c := w.t.shape.Column(r.column); row[c].Kind() == change.String && row[c].Text() == r.text {
			return fmt.Sprintf("column %s must not be %q", r.column, r.text)
		}
	}
	return ""
}

// remove deletes a row, or marks it.
func (w writer) remove(k change.Key) {
	old, ok := w.into[k]
	switch {
	case !ok || w.soft && old.Deleted:
	case w.soft:
		w.a.s.db.writes++
		gone := w.written(old.Row, w.a.b.To)
		gone.Deleted = true
		w.set(k, gone, true)
	default:
		w.set(k, Row{}, false)
	}
}

// written is a row as this batch writes it.
func (w writer) written(row change.Row, seq change.Seq) Row {
	r := Row{Row: row, Version: w.a.s.db.writes}
	if w.extra.Position != "" {
		r.Position = seq
	}
	if w.extra.AppliedAt != "" {
		r.AppliedAt = time.Now().UTC()
	}
	return r
}

// set stores a row or takes it out, so that it can be undone.
func (w writer) set(k change.Key, r Row, there bool) {
	old, had := w.into[k]
	into := w.into
	w.a.undo(func() {
		if had {
			into[k] = old
		} else {
			delete(into, k)
		}
	})
	if there {
		into[k] = r
	} else {
		delete(into, k)
	}
}

func (w writer) keyText(row change.Row) string {
	key := make(change.Row, len(w.t.shape.Key))
	for i, c := range w.t.shape.Key {
		key[i] = row[c]
	}
	return sinks.FormatKey(key)
}

// poison lists a row in the quarantine.
func (w writer) poison(n sinks.Net, reason string) error {
	text := w.keyText(n.Row)
	switch w.a.s.o.OnPoison {
	case sinks.StopOnPoison:
		return &sinks.StopError{What: fmt.Sprintf("table %s refuses the row %s: %s", w.from, text, reason)}
	case sinks.DeleteOnPoison:
		w.remove(n.Key)
	case sinks.KeepOnPoison:
	}
	k := entryKey{w.a.name, w.from, text}
	w.a.setEntry(k, &Entry{Stream: w.a.name, Table: w.from, Key: text, Seq: n.Seq, Reason: reason})
	w.a.counts.Quarantined(w.from)
	return nil
}

// clear removes what the quarantine held of a key that has a good version or is gone.
func (w writer) clear(n sinks.Net) {
	if len(w.a.s.db.quarantine) > 0 {
		w.a.setEntry(entryKey{w.a.name, w.from, w.keyText(project(n.Row, n.Table, w.t.shape))}, nil)
	}
}

// forget removes the entries of a table that match.
func (a *apply) forget(table string, match func(Entry) bool) {
	for k, e := range a.s.db.quarantine {
		if k.stream == a.name && k.table == table && match(e) {
			a.setEntry(k, nil)
		}
	}
}

func (a *apply) setEntry(k entryKey, e *Entry) {
	q := a.s.db.quarantine
	was, had := q[k]
	a.undo(func() {
		if had {
			q[k] = was
		} else {
			delete(q, k)
		}
	})
	if e != nil {
		q[k] = *e
	} else {
		delete(q, k)
	}
}
