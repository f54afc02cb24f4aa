package sinktest

import (
	"context"
	"fmt"
	"iter"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// feed plays the writer of a stream: it numbers batches as the real one does.
type feed struct {
	stream string
	mark   change.Mark
	ids    int
}

func newFeed(stream string) *feed {
	return &feed{stream: stream, mark: change.Mark{Incarnation: 1_700_000_000_000_000, Offset: 10, ID: "start", Seq: 1_700_000_000_000_000}}
}

func (f *feed) newID() string {
	f.ids++
	return fmt.Sprintf("id-%d", f.ids)
}

// batch makes the next batch of the stream; its position moves with it.
func (f *feed) batch(kind change.UnitKind, cover *change.Cover, tables []*change.Table, events []change.Event) *change.Batch {
	f.mark.Offset += 2
	f.mark.ID = f.newID()
	from := f.mark.Seq + 1
	if kind != change.Idle {
		f.mark.Seq++
	}
	f.mark.Position = change.Position{Server: "s", GTID: fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", f.mark.Offset)}
	for i := range events {
		events[i].Seq, events[i].Idx = f.mark.Seq, i
	}
	b := &change.Batch{
		Stream: f.stream, Kind: kind, From: from, To: f.mark.Seq, Mark: f.mark, CommitMicros: 1_700_000_000_000_000,
		Cover: cover, Tables: tables, Rows: len(events),
	}
	if len(events) > 0 {
		b.Open = func(context.Context) iter.Seq2[change.Event, error] {
			return func(yield func(change.Event, error) bool) {
				for _, ev := range events {
					if !yield(ev, nil) {
						return
					}
				}
			}
		}
	}
	return b
}

func (f *feed) changes(events ...change.Event) *change.Batch {
	return f.batch(change.Changes, nil, nil, events)
}

func (f *feed) idle() *change.Batch { return f.batch(change.Idle, nil, nil, nil) }

// coverKind changes the cover that a begin announces.
type coverKind func(*change.Cover)

func heal(c *change.Cover)      { c.Heal = true }
func additive(*change.Cover)    {}
func unordered(c *change.Cover) { c.Unordered = true }
func noRange(c *change.Cover)   { c.NoRange = true }

func healUnordered(c *change.Cover) { c.Heal, c.Unordered = true, true }

func forReader(reader string) coverKind {
	return func(c *change.Cover) { c.Heal, c.For = true, reader }
}

func (f *feed) begin(id string, kind coverKind, tables ...*change.Table) *change.Batch {
	c := &change.Cover{ID: id}
	kind(c)
	c.Tables = names(tables)
	return f.batch(change.Begin, c, tables, nil)
}

func (f *feed) end(id string, tables ...*change.Table) *change.Batch {
	return f.batch(change.End, &change.Cover{ID: id, Tables: names(tables)}, nil, nil)
}

func names(tables []*change.Table) []string {
	var out []string
	for _, t := range tables {
		out = append(out, t.ID.String())
	}
	return out
}

func (f *feed) chunk(id string, table *change.Table, r change.KeyRange, rows ...change.Row) *change.Batch {
	return f.chunkAs(additive, id, table, r, rows...)
}

func (f *feed) chunkAs(kind coverKind, id string, table *change.Table, r change.KeyRange, rows ...change.Row) *change.Batch {
	c := &change.Cover{ID: id, Table: table.ID.String(), Range: r}
	kind(c)
	events := make([]change.Event, len(rows))
	for i, row := range rows {
		events[i] = change.Event{Table: table, Op: change.Read, After: row}
	}
	return f.batch(change.Chunk, c, nil, events)
}

func insert(t *change.Table, row change.Row) change.Event {
	return change.Event{Table: t, Op: change.Insert, After: row}
}

func update(t *change.Table, before, after change.Row) change.Event {
	return change.Event{Table: t, Op: change.Update, Before: before, After: after}
}

func remove(t *change.Table, before change.Row) change.Event {
	return change.Event{Table: t, Op: change.Delete, Before: before}
}

// between is the range [lo, hi) over single values; nil leaves an end open.
func between(lo, hi *change.Value) change.KeyRange {
	var r change.KeyRange
	if lo != nil {
		r.Lo, r.HasLo = change.KeyOf(*lo), true
	}
	if hi != nil {
		r.Hi, r.HasHi = change.KeyOf(*hi), true
	}
	return r
}

func ints(lo, hi int64) change.KeyRange {
	l, h := change.IntValue(lo), change.IntValue(hi)
	return between(&l, &h)
}

// The tables of the suite.

var intType = change.Type{Kind: change.Int, Name: "int"}

func textType(length int) change.Type {
	return change.Type{Kind: change.String, Name: "varchar", Length: length, Charset: "utf8mb4", Collation: "utf8mb4_bin"}
}

// orders has one integer key.
func orders() *change.Table {
	return &change.Table{
		ID: change.TableID{Name: "Orders"},
		Columns: []change.Column{
			{Name: "Id", Type: intType},
			{Name: "Name", Type: textType(40), Nullable: true},
			{Name: "Amount", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}, Nullable: true},
		},
		Key: []int{0},
	}
}

func order(id int64, name, amount string) change.Row {
	return change.Row{change.IntValue(id), change.StringValue(name), change.DecimalValue(amount)}
}

// pairs is what a left join makes: the second key column may be NULL.
func pairs() *change.Table {
	return &change.Table{
		ID: change.TableID{Name: "Pairs"},
		Columns: []change.Column{
			{Name: "Value", Type: textType(40), Nullable: true},
			{Name: "A", Type: intType},
			{Name: "B", Type: intType, Nullable: true},
		},
		Key: []int{1, 2},
	}
}

func pair(a int64, b *int64, value string) change.Row {
	r := change.Row{change.StringValue(value), change.IntValue(a), change.NullValue()}
	if b != nil {
		r[2] = change.IntValue(*b)
	}
	return r
}

// words has a text key and nothing else.
func words() *change.Table {
	return &change.Table{
		ID:      change.TableID{DB: "shop", Name: "words"},
		Columns: []change.Column{{Name: "word", Type: textType(60)}},
		Key:     []int{0},
	}
}

func word(s string) change.Row { return change.Row{change.StringValue(s)} }

func target(t *change.Table) sinks.Target {
	return sinks.Target{From: t.ID.String(), Table: t, To: t.ID.Name + "s"}
}
