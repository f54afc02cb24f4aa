package postgres

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// encoded is a batch as COPY takes it, made while the batch before it was applied.
type encoded struct {
	*sinks.Ahead
	st     *stream
	tables map[string]*encodedTable
}

// encodedTable is what one target's inbox gets.
type encodedTable struct {
	tg     *target // as it was: a copy
	inbox  *inbox  // what the rows make of an empty one
	stream []byte  // of the COPY, from header to trailer
}

// Encoder implements sinks.Encoder: large batches become bytes of COPY. Those that hold a row which cannot be
// written down do not, nor do those of more than Config.Memory, netted or encoded.
func (s *Sink) Encoder(name string) func(context.Context, *change.Batch) any {
	st := s.streams[name]
	if st == nil {
		return nil
	}
	targets := map[string]*target{}
	for from, tg := range st.targets {
		targets[from] = tg.asItIs()
	}
	most := s.cfg.Memory
	return func(ctx context.Context, b *change.Batch) any {
		if b.Rows <= smallRows {
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
		room := most
		for from, nets := range e.Drain() {
			t := targets[from].encode(nets, room)
			if t == nil {
				return nil
			}
			room -= len(t.stream)
			e.tables[from] = t
		}
		return e
	}
}

// asItIs is a copy for another goroutine. What it shares with the target is never changed in place.
func (tg *target) asItIs() *target {
	now := *tg
	now.shapes = map[*change.Table][]int{}
	return &now
}

// sameRows reports whether rows that were encoded for a target as it was are right for it as it is.
func (tg *target) sameRows(was *target) bool {
	return tg != nil && tg.table == was.table && &tg.columns[0] == &was.columns[0] && tg.quarantined == was.quarantined
}

// encode writes net changes down as one COPY; nil if it gets larger than most or a row is refused.
func (tg *target) encode(nets []sinks.Net, most int) *encodedTable {
	// Nobody is here to be told of a refused row: the first one ends it.
	alone := &apply{s: &Sink{cfg: Config{OnPoison: sinks.StopOnPoison}}}
	in := newInbox(tg)
	c := &copier{a: alone, in: in, out: append(make([]byte, 0, 128*len(nets)), copyHeader...)}
	for i := range nets {
		if c.append(&nets[i]) != nil || len(c.out) > most {
			return nil
		}
	}
	if len(alone.gone) > 0 {
		return nil
	}
	in.runs, in.last = 1, nets[len(nets)-1].Key
	return &encodedTable{tg: tg, inbox: in, stream: append(c.out, copyTrailer...)}
}

// ahead returns what was made of the batch ahead, if it is what would be made of it now.
func (a *apply) ahead() *encoded {
	e, ok := a.b.Encoded.(*encoded)
	if !ok || a.manner != whole || e.st != a.st || !e.IsOf(a.b) || len(a.inboxes) > 0 {
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
		t, tg := e.tables[from], a.st.targets[from]
		in, err := a.inbox(ctx, tg)
		if err != nil {
			return err
		}
		if err := a.copy(ctx, tg, bytes.NewReader(t.stream)); err != nil {
			return err
		}
		in.rows, in.runs, in.last = t.inbox.rows, t.inbox.runs, t.inbox.last
		for op, nulls := range t.inbox.nulls {
			in.nulls[op] = maps.Clone(nulls)
		}
		e.Count(&a.counts, from)
		if err := a.s.after("copy"); err != nil {
			return err
		}
	}
	return nil
}
