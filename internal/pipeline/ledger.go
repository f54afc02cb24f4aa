// Package pipeline holds the stages: capture turns the source's log into the raw stream, join turns the
// raw stream into the view stream, deliver applies a stream to a destination. Each stage is one
// goroutine's sequential logic over a few effects (log, broker, state, destination, clock), so that the
// same code runs in production and in a deterministic simulation. Supervision, retry judgement and
// metrics live here and nowhere below.
package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// ledger is the bookkeeping of the running covers of one stream: which are open, in which order they are
// served, which ranges are done. It changes only through records that are written to the stream's meta
// topic in the Kafka transaction of the unit they belong to; a crash finds the ledger there.
type ledger struct {
	covers map[string]*wire.CoverState
}

func newLedger(covers map[string]*wire.CoverState) *ledger {
	l := &ledger{covers: map[string]*wire.CoverState{}}
	for id, c := range covers {
		l.covers[id] = c
	}
	return l
}

// under reports whether a cover for everybody, or for the reader, is open over the table.
func (l *ledger) under(table, reader string) bool {
	for _, c := range l.covers {
		if c.Cover.IsFor(reader) && c.Cover.Names(table) {
			return true
		}
	}
	return false
}

// back is Cover.Back of a cover that is about to begin: its own, or that of the newest open cover whose tables
// its readers take from there to it.
func (l *ledger) back(c change.Cover, r Rules) change.Position {
	switch {
	case r.off(back):
		return change.Position{}
	case !c.Heal, !c.Back.IsZero():
		return c.Back
	}
	for _, id := range slices.Backward(l.ids()) {
		o := l.covers[id].Cover
		if !o.Back.IsZero() && slices.ContainsFunc(c.Tables, o.Names) {
			return o.Back
		}
	}
	return change.Position{}
}

// change is a new content of the ledger and the meta records that write it down.
type ledgerChange struct {
	next *ledger
	meta []wire.MetaRecord
}

func (l *ledger) clone() *ledger { return newLedger(l.covers) }

// begin opens a cover. A reader's heal voids the covers that it was asked for before; a resync for it voids
// none, because the reader takes its chunks wherever it keeps the table. A heal for
// everybody takes its tables out of the covers before it, because its readers void what they staged.
func (l *ledger) begin(c change.Cover, seq change.Seq, paused map[string]string) (ledgerChange, error) {
	next := l.clone()
	var meta []wire.MetaRecord
	for _, id := range l.ids() {
		o := l.covers[id]
		tables := o.Cover.Tables
		switch {
		case c.For != "" && o.Cover.For == c.For && c.Heal:
			tables = nil
		case c.For == "" && c.Heal:
			tables = slices.DeleteFunc(slices.Clone(tables), func(t string) bool { return slices.Contains(c.Tables, t) })
		}
		if len(tables) == len(o.Cover.Tables) {
			continue
		}
		if len(tables) == 0 {
			delete(next.covers, id)
			meta = append(meta, wire.MetaRecord{Key: wire.MetaCoverPrefix + id})
			continue
		}
		n := *o
		n.Cover.Tables = tables
		n.Paused = maps.Clone(o.Paused)
		maps.DeleteFunc(n.Paused, func(t, _ string) bool { return !slices.Contains(tables, t) })
		next.covers[id] = &n
		r, err := wire.EncodeMeta(wire.MetaCoverPrefix+id, &n)
		if err != nil {
			return ledgerChange{}, err
		}
		meta = append(meta, r)
	}
	st := &wire.CoverState{V: wire.MetaVersion, Cover: c, Begun: seq, Done: map[string][]change.KeyRange{}}
	for _, t := range c.Tables {
		if why := paused[t]; why != "" {
			if st.Paused == nil {
				st.Paused = map[string]string{}
			}
			st.Paused[t] = why
		}
	}
	next.covers[c.ID] = st
	r, err := wire.EncodeMeta(wire.MetaCoverPrefix+c.ID, st)
	return ledgerChange{next, append(meta, r)}, err
}

// done notes a range of a table as covered. Of a table without order, r says how far the server's own
// order is done: it replaces what was there.
func (l *ledger) done(id, table string, r change.KeyRange, unordered bool) (ledgerChange, error) {
	o := l.covers[id]
	if o == nil {
		return ledgerChange{}, fmt.Errorf("cover %s is not open", id)
	}
	n := *o
	n.Done = map[string][]change.KeyRange{}
	for t, rs := range o.Done {
		n.Done[t] = rs
	}
	n.Done[table] = []change.KeyRange{r}
	if !unordered {
		n.Done[table] = mergeRange(o.Done[table], r)
	}
	next := l.clone()
	next.covers[id] = &n
	rec, err := wire.EncodeMeta(wire.MetaCoverPrefix+id, &n)
	return ledgerChange{next, []wire.MetaRecord{rec}}, err
}

// leave takes a table out of all covers.
func (l *ledger) leave(table string) (ledgerChange, error) {
	ch := ledgerChange{next: l.clone()}
	for _, id := range l.ids() {
		o := l.covers[id]
		if !o.Cover.Names(table) {
			continue
		}
		n := *o
		n.Cover.Tables = slices.DeleteFunc(slices.Clone(o.Cover.Tables), func(t string) bool { return t == table })
		n.Cover.Whole = slices.DeleteFunc(slices.Clone(o.Cover.Whole), func(t string) bool { return t == table })
		n.Paused = maps.Clone(o.Paused)
		delete(n.Paused, table)
		ch.next.covers[id] = &n
		r, err := wire.EncodeMeta(wire.MetaCoverPrefix+id, &n)
		if err != nil {
			return ledgerChange{}, err
		}
		ch.meta = append(ch.meta, r)
	}
	return ch, nil
}

// end closes a cover.
func (l *ledger) end(id string) ledgerChange {
	next := l.clone()
	delete(next.covers, id)
	return ledgerChange{next, []wire.MetaRecord{{Key: wire.MetaCoverPrefix + id}}}
}

// ids gives the open covers in order of their begin.
func (l *ledger) ids() []string {
	ids := make([]string, 0, len(l.covers))
	for id := range l.covers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		x, y := l.covers[a].Begun, l.covers[b].Begun
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return strings.Compare(a, b)
	})
	return ids
}

// mergeRange adds a range to a list of disjoint ranges in order, joining what touches.
func mergeRange(list []change.KeyRange, r change.KeyRange) []change.KeyRange {
	if r.IsEmpty() {
		return list
	}
	var out []change.KeyRange
	for _, o := range list {
		switch {
		case o.HasHi && r.HasLo && o.Hi < r.Lo: // o lies before r
			out = append(out, o)
		case r.HasHi && o.HasLo && r.Hi < o.Lo: // o lies behind r
			continue
		default:
			r = Span(o, r)
		}
	}
	out = append(out, r)
	for _, o := range list {
		if r.HasHi && o.HasLo && r.Hi < o.Lo {
			out = append(out, o)
		}
	}
	return out
}

// Span is the least range that holds both.
func Span(a, b change.KeyRange) change.KeyRange {
	var r change.KeyRange
	if a.HasLo && b.HasLo {
		r.HasLo, r.Lo = true, min(a.Lo, b.Lo)
	}
	if a.HasHi && b.HasHi {
		r.HasHi, r.Hi = true, max(a.Hi, b.Hi)
	}
	return r
}

// firstGap returns the first range inside within that done (disjoint, in order) does not hold; ok is false
// when nothing is left.
func firstGap(done []change.KeyRange, within change.KeyRange) (gap change.KeyRange, ok bool) {
	gap = within
	for _, d := range done {
		if d.HasHi && gap.HasLo && d.Hi <= gap.Lo {
			continue
		}
		if d.HasLo && (!gap.HasLo || d.Lo > gap.Lo) { // a gap before d
			if !gap.HasHi || d.Lo < gap.Hi {
				gap.HasHi, gap.Hi = true, d.Lo
			}
			return gap, !gap.IsEmpty()
		}
		if !d.HasHi {
			return change.KeyRange{}, false
		}
		gap.HasLo, gap.Lo = true, d.Hi
	}
	return gap, !gap.IsEmpty()
}
