package clickhouse

import (
	"context"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// aheadRows bounds from below the events of a batch that is encoded ahead: less is not worth it.
const aheadRows = 1000

// encoded is a batch as blocks of rows, made while the batch before it was applied.
type encoded struct {
	*sinks.Ahead
	st     *stream
	size   int // rows of a block at most
	tables map[string]*encodedTable
}

// encodedTable is what is sent to one target.
type encodedTable struct {
	tg     *target // as it was: a copy
	nets   []sinks.Net
	blocks []*block // with the columns of the visible table; in the order of nets, size rows each
}

// Encoder implements sinks.Encoder: large batches become blocks. Those that hold a row which no block takes do
// not, nor do those of more than Config.Memory, netted or encoded.
func (s *Sink) Encoder(name string) func(context.Context, *change.Batch) any {
	st := s.streams[name]
	if st == nil {
		return nil
	}
	targets := map[string]*target{}
	for from, tg := range st.targets {
		targets[from] = tg.asItIs()
	}
	size, most := s.cfg.BlockRows, s.cfg.Memory
	return func(ctx context.Context, b *change.Batch) any {
		if b.Rows < aheadRows {
			return nil
		}
		e := &encoded{st: st, size: size, tables: map[string]*encodedTable{}}
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
			t := &encodedTable{tg: targets[from], nets: nets}
			if room = t.encode(size, room); room < 0 {
				return nil
			}
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
	return tg != nil && tg.table == was.table && &tg.columns[0] == &was.columns[0]
}

// encode makes the blocks, which may take as many bytes as there is room. It returns the room that is left; less than
// zero if there is none, or if a row is refused.
func (t *encodedTable) encode(size, room int) int {
	rows, err := t.tg.rows(t.nets)
	if err != nil {
		return -1
	}
	at := t.tg.visible()
	for chunk := range slices.Chunk(rows, size) {
		b := at.newBlock()
		for _, r := range chunk {
			if at.append(b, r, 0) != nil {
				return -1
			}
		}
		if room -= b.size(); room < 0 {
			return -1
		}
		t.blocks = append(t.blocks, b)
	}
	return room
}

// rows are net changes with what becomes of their keys.
func (tg *target) rows(nets []sinks.Net) ([]row, error) {
	rows := make([]row, len(nets))
	for i := range nets {
		cols, err := tg.mapping(nets[i].Table)
		if err != nil {
			return nil, err
		}
		rows[i] = row{Net: &nets[i], cols: cols}
		if nets[i].Delete {
			rows[i].flag = flagDelete
		}
	}
	return rows, nil
}

// size is the bytes that the block holds.
func (b *block) size() int {
	n := 0
	for i := range b.data {
		n += cap(b.data[i].nulls) + cap(b.data[i].values)
	}
	return n
}

// into is the same block for another table of the same columns.
func (b *block) into(p place) *block {
	there := *b
	there.table = p.table
	return &there
}

// ahead returns what was made of the batch ahead, if it is what would be made of it now. A batch that was cut off may
// have been planned in blocks of another size.
func (a *apply) ahead() *encoded {
	e, ok := a.b.Encoded.(*encoded)
	if !ok || e.st != a.st || !e.IsOf(a.b) || len(a.inboxes) > 0 || a.now.plan.isFor(a.b) && a.now.plan.Rows != e.size {
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
	tables := slices.DeleteFunc(slices.Sorted(maps.Keys(e.tables)), func(from string) bool { return a.step.Route(from) == sinks.Ignore })
	if len(tables) > 0 {
		if err := a.begin(ctx, false); err != nil {
			return err
		}
	}
	for _, from := range tables {
		t := e.tables[from]
		e.Count(&a.counts, from)
		if err := a.write(ctx, a.st.targets[from], t.nets, t.blocks, false); err != nil {
			return err
		}
	}
	return a.pourAll(ctx)
}
