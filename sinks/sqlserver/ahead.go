package sqlserver

import (
	"context"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// encoded is a batch as a bulk load takes it, made while the batch before it was applied. The driver's part, from
// values to bytes, is left: it asks the server for the columns first.
type encoded struct {
	*sinks.Ahead
	st     *stream
	tables map[string]*encodedTable
}

// encodedTable is what one target's inbox gets.
type encodedTable struct {
	tg    *target // as it was: a copy
	inbox *inbox  // what the rows make of an empty one
	rows  []any   // one row behind the other
	width int
}

// Encoder implements sinks.Encoder: large batches become rows of a bulk load. Those that hold a row which cannot be
// written down do not, nor do those that take more than Config.Memory when they are netted.
func (s *Sink) Encoder(name string) func(context.Context, *change.Batch) any {
	st := s.streams[name]
	if st == nil {
		return nil
	}
	targets := map[string]*target{}
	for from, tg := range st.targets {
		targets[from] = tg.asItIs()
	}
	least, most := s.small, s.cfg.Memory
	return func(ctx context.Context, b *change.Batch) any {
		if b.Rows <= least {
			return nil
		}
		e := &encoded{st: st, tables: map[string]*encodedTable{}}
		e.Ahead = sinks.NetAhead(ctx, b, most, func(shape *change.Table) (bool, error) {
			tg := targets[shape.ID.String()]
			if tg == nil {
				return false, nil
			}
			_, err := tg.mapping(shape)
			return true, err
		})
		if e.Ahead == nil {
			return nil
		}
		for from, nets := range e.Drain() {
			if e.tables[from] = targets[from].encode(nets); e.tables[from] == nil {
				return nil
			}
		}
		return e
	}
}

// asItIs is a copy for another goroutine. What it shares with the target is never changed in place.
func (tg *target) asItIs() *target {
	now := *tg
	now.shapes, now.parts = map[*change.Table][]int{}, nil
	return &now
}

// sameRows reports whether rows that were encoded for a target as it was are right for it as it is.
func (tg *target) sameRows(was *target) bool {
	return tg != nil && tg.table == was.table && &tg.columns[0] == &was.columns[0] && tg.quarantined == was.quarantined
}

// encode makes rows of net changes; nil if one is refused.
func (tg *target) encode(nets []sinks.Net) *encodedTable {
	// Nobody is here to be told of a refused row: the first one ends it.
	alone := &apply{s: &Sink{cfg: Config{OnPoison: sinks.StopOnPoison}}}
	t := &encodedTable{tg: tg, inbox: &inbox{tg: tg}}
	l := newLoader(alone, t.inbox)
	t.width = len(l.row)
	t.rows = make([]any, 0, t.width*len(nets))
	l.add = func(row []any) error {
		t.rows = append(t.rows, row...)
		return nil
	}
	for i := range nets {
		if l.net(&nets[i]) != nil {
			return nil
		}
	}
	if len(alone.gone) > 0 {
		return nil
	}
	t.inbox.runs, t.inbox.last = 1, nets[len(nets)-1].Key
	return t
}

// ahead returns what was made of the batch ahead, if it is what would be made of it now.
func (a *apply) ahead() *encoded {
	e, ok := a.b.Encoded.(*encoded)
	if !ok || a.careful || e.st != a.st || !e.IsOf(a.b) || len(a.inboxes) > 0 {
		return nil
	}
	for from, t := range e.tables {
		if a.step.Route(from) != sinks.Ignore && !a.st.targets[from].sameRows(t.tg) {
			return nil
		}
	}
	return e
}

func (a *apply) sendAhead(ctx context.Context, e *encoded) error {
	for _, from := range slices.Sorted(maps.Keys(e.tables)) {
		if a.step.Route(from) == sinks.Ignore {
			continue
		}
		t := e.tables[from]
		in, err := a.inbox(ctx, a.st.targets[from])
		if err != nil {
			return err
		}
		l := newLoader(a, in)
		err = l.load(ctx, func() error {
			for row := range slices.Chunk(t.rows, t.width) {
				if err := l.add(row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		in.rows, in.removals, in.runs, in.last = t.inbox.rows, t.inbox.removals, t.inbox.runs, t.inbox.last
		e.Count(&a.counts, from)
	}
	return nil
}
