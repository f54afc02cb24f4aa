package sinks

import (
	"context"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Encoder is implemented by sinks that can net and encode a batch while the one before it is applied.
type Encoder interface {
	// Encoder is called where Apply is. What it returns may run beside one Apply or Prepare: it knows the destination
	// as it was at this call, asks it nothing, and changes nothing of the sink. It returns what Batch.Encoded of the
	// batch is to be; nil if the batch is to be encoded when it is applied, as after any error. Apply uses it only if
	// it is of this very batch and everything that it depends on is still so. Nil if the sink has nothing to do ahead.
	Encoder(stream string) func(ctx context.Context, b *change.Batch) any
}

// Ahead is a batch that was netted before it is known what becomes of its tables: it tells batches apart, and what
// each table asks for.
type Ahead struct {
	stream   string
	kind     change.UnitKind
	mark     change.Mark
	from, to change.Seq
	rows     int
	counts   Counts
	fold     *Fold
}

// NetAhead nets the rows of a batch of transactions. follow reports whether rows of a shape are delivered. It returns nil when the
// batch is none to be netted ahead: when it takes more than most bytes, holds a row that is refused, or anything is wrong
// with it, which whoever applies it finds out again.
func NetAhead(ctx context.Context, b *change.Batch, most int, follow func(*change.Table) (delivered bool, err error)) *Ahead {
	if b.Kind != change.Changes || b.Rows == 0 {
		return nil
	}
	a := &Ahead{stream: b.Stream, kind: b.Kind, mark: b.Mark, from: b.From, to: b.To, fold: NewFold()}
	for ev, err := range b.Events(ctx) {
		if err != nil || ev.Refused != "" {
			return nil
		}
		a.rows++
		delivered, err := follow(ev.Table)
		if err != nil {
			return nil
		}
		if !delivered {
			continue
		}
		table := ev.Table.ID.String()
		if a.fold.Add(table, &ev) != nil || a.fold.MemSize() > most {
			return nil
		}
		a.counts.Event(table, ev.Op)
	}
	if a.rows != b.Rows {
		return nil
	}
	return a
}

// Drain returns the net changes of each table, in key order, and forgets them.
func (a *Ahead) Drain() map[string][]Net {
	nets := map[string][]Net{}
	for _, t := range a.fold.Tables() {
		nets[t] = a.fold.Drain(t)
	}
	return nets
}

// IsOf reports whether it was made of this batch.
func (a *Ahead) IsOf(b *change.Batch) bool {
	return a.stream == b.Stream && a.kind == b.Kind && a.mark == b.Mark && a.from == b.From && a.to == b.To && a.rows == b.Rows
}

// Count adds the events of a table to what an Observer is told.
func (a *Ahead) Count(c *Counts, table string) {
	for k, n := range a.counts.applied {
		if k.table == table {
			c.Event(k.table, k.op)
			c.applied[k] += n - 1
		}
	}
}
