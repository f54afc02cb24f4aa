package memory_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

// history is a stream for one table, written out.
type history struct {
	table *change.Table
	mark  change.Mark
}

func (h *history) batch(kind change.UnitKind, c *change.Cover, events ...change.Event) *change.Batch {
	h.mark.Incarnation, h.mark.Offset, h.mark.Seq = 1, h.mark.Offset+1, h.mark.Seq+1
	h.mark.ID = fmt.Sprintf("m%d", h.mark.Offset)
	return &change.Batch{
		Stream: "s", Kind: kind, From: h.mark.Seq, To: h.mark.Seq, Mark: h.mark, Cover: c, Rows: len(events),
		Open: func(context.Context) iter.Seq2[change.Event, error] {
			return func(yield func(change.Event, error) bool) {
				for _, ev := range events {
					ev.Table, ev.Seq = h.table, h.mark.Seq
					if !yield(ev, nil) {
						return
					}
				}
			}
		},
	}
}

// TestBreaks: each rule that is turned off shows, and none that is not.
func TestBreaks(t *testing.T) {
	n := change.IntValue
	table := &change.Table{ID: change.TableID{Name: "t"}, Key: []int{0}, Columns: []change.Column{
		{Name: "k", Type: change.Type{Kind: change.Int}}, {Name: "v", Type: change.Type{Kind: change.Int}},
	}}
	read := func(k, v int64) change.Event { return change.Event{Op: change.Read, After: change.Row{n(k), n(v)}} }
	del := func(k, v int64) change.Event { return change.Event{Op: change.Delete, Before: change.Row{n(k), n(v)}} }
	cover := func(id string, heal bool) *change.Cover {
		return &change.Cover{ID: id, Heal: heal, Tables: []string{"t"}, Table: "t"}
	}
	const during, after = "while staged: 1=10", "1=10 2=22 3=30"
	for b, want := range map[sinks.Break]string{
		sinks.BreakNothing:                 during + "; at last: " + after,
		sinks.BreakChangesBypassStaging:    "while staged: 1=10 3=30; at last: 1=10 2=22",
		sinks.BreakDeletesLast:             during + "; at last: 1=10 2=22",
		sinks.BreakNoFencing:               during + "; at last: " + after + " 9=90",
		sinks.BreakLiveChunkOutsideStaging: during + "; at last: 1=10 2=20 3=30",
	} {
		t.Run(b.String(), func(t *testing.T) {
			db, h := memory.NewDB(), &history{table: table}
			open := func() *memory.Sink {
				s := memory.Open(db, memory.Options{Reader: "n", Break: b})
				if err := s.Prepare(t.Context(), "s", []sinks.Target{{From: "t", Table: table, To: "t"}}); err != nil {
					t.Fatal(err)
				}
				return s
			}
			apply := func(s *memory.Sink, batches ...*change.Batch) {
				for _, batch := range batches {
					if err := s.Apply(t.Context(), batch); err != nil {
						t.Fatal(err)
					}
				}
			}
			shown := func() string {
				var out []string
				for _, r := range db.Snapshot().Rows["t"] {
					out = append(out, fmt.Sprintf("%s=%s", r.Row[0], r.Row[1]))
				}
				return strings.Join(out, " ")
			}
			s := open()
			apply(s, h.batch(change.Begin, cover("a", true)), h.batch(change.Chunk, cover("a", true), read(1, 10)), h.batch(change.End, cover("a", true)))
			apply(s, h.batch(change.Begin, cover("b", true)), h.batch(change.Chunk, cover("b", true), read(1, 10), read(2, 20)))
			apply(s, h.batch(change.Changes, nil, read(3, 29), del(3, 29), read(3, 30)))
			got := "while staged: " + shown()
			apply(s, h.batch(change.Chunk, &change.Cover{ID: "live", Table: "t", Range: change.KeyRange{
				Lo: change.KeyOf(n(2)), HasLo: true, Hi: change.KeyOf(n(3)), HasHi: true,
			}}, read(2, 22)))
			apply(s, h.batch(change.End, cover("b", true)))
			open()
			err := s.Apply(t.Context(), h.batch(change.Changes, nil, read(9, 90)))
			if (err == nil) != (b == sinks.BreakNoFencing) {
				t.Errorf("the older process: %v", err)
			}
			if got += "; at last: " + shown(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
