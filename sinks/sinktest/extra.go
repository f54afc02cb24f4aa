package sinktest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// withExtra is a target with both extra columns and another name for the mark of deleted rows.
func withExtra(table *change.Table) sinks.Target {
	tg := target(table)
	tg.Soft, tg.SoftColumn = true, "is_deleted"
	tg.Extra = sinks.Extra{Position: "_cdc_position", AppliedAt: "_cdc_applied_at"}
	return tg
}

// extras checks the extra columns of every row of orders: the Seq that each id has come with, 0 for NULL. Times that
// are there are those of the destination's clock, which stands beside this one.
func (b *bench) extras(t testing.TB, tg sinks.Target, want map[int64]change.Seq) {
	t.Helper()
	got := map[int64]change.Seq{}
	for _, r := range b.Rows(t, tg) {
		got[r.Row[0].Int()] = r.Position
		if (r.Position == 0) != r.AppliedAt.IsZero() {
			t.Errorf("row %v has the position %d and the time %s", r.Row, r.Position, r.AppliedAt)
		}
		if off := time.Since(r.AppliedAt); r.Position != 0 && (off > time.Hour || off < -time.Hour) {
			t.Errorf("row %v was applied at %s, want about now in UTC", r.Row, r.AppliedAt)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("positions of %s (-want +got):\n%s", tg.To, d)
	}
}

func testExtraColumns(t *testing.T, b *bench) {
	tg := withExtra(orders())
	s := b.open(t, Options{}, tg)
	id := b.newID()
	apply(t, s, b.begin(id, heal, tg.Table), b.chunk(id, tg.Table, change.WholeTable(), order(1, "one", "1.00"), order(2, "two", "2.00"), order(3, "three", "3.00")))
	shown := b.end(id, tg.Table)
	apply(t, s, shown)
	want := map[int64]change.Seq{1: shown.To, 2: shown.To, 3: shown.To} // what was staged comes with what shows it
	b.extras(t, tg, want)

	batch := b.changes(insert(tg.Table, order(4, "four", "4.00")), update(tg.Table, order(2, "two", "2.00"), order(2, "zwei", "2.00")),
		remove(tg.Table, order(3, "three", "3.00")))
	apply(t, s, batch)
	want[4], want[2], want[3] = batch.To, batch.To, batch.To
	b.extras(t, tg, want)
	b.want(t, tg, order(1, "one", "1.00"), order(2, "zwei", "2.00"), order(4, "four", "4.00"))
	back := b.changes(insert(tg.Table, order(3, "drei", "3.00")))
	apply(t, s, back)
	want[3] = back.To
	b.extras(t, tg, want)

	// Nothing is written because these columns alone would differ.
	before := b.versions(t, tg)
	apply(t, s, batch, back)
	s = b.open(t, Options{}, tg)
	apply(t, s, batch, back)
	if !b.Limits.Rewrites {
		apply(t, s, b.changes(update(tg.Table, order(1, "uno", "1.00"), order(1, "one", "1.00"))))
	}
	all := []change.Row{order(1, "one", "1.00"), order(2, "zwei", "2.00"), order(3, "drei", "3.00"), order(4, "four", "4.00")}
	id = b.newID()
	apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, change.WholeTable(), all...), b.end(id, tg.Table))
	b.load(t, s, tg, all...)
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" {
		t.Fatalf("rows that were right were written:\n%s", d)
	}
	b.extras(t, tg, want)

	// A live chunk writes, and marks, under its own number; an end what it sweeps.
	id = b.newID()
	apply(t, s, b.begin(id, additive, tg.Table))
	chunk := b.chunk(id, tg.Table, change.WholeTable(), order(1, "one", "1.00"), order(2, "mended", "2.00"), order(3, "drei", "3.00"))
	apply(t, s, chunk, b.end(id, tg.Table))
	want[2], want[4] = chunk.To, chunk.To
	b.extras(t, tg, want)
	id = b.newID()
	begin := b.begin(id, unordered, tg.Table)
	noted := b.chunkAs(unordered, id, tg.Table, change.WholeTable(), order(1, "one", "1.00"), order(2, "mended", "2.00"))
	swept := b.end(id, tg.Table)
	apply(t, s, begin, noted, swept)
	if b.Limits.Rewrites { // without a range there is nothing to compare with
		want[1], want[2] = noted.To, noted.To
	}
	want[3] = swept.To
	b.extras(t, tg, want)
	b.want(t, tg, order(1, "one", "1.00"), order(2, "mended", "2.00"))

	events := make([]change.Event, 1500) // more than travel as parameters
	for i := range events {
		events[i] = insert(tg.Table, order(int64(100+i), fmt.Sprint(i), "1.00"))
	}
	many := b.changes(append(events, remove(tg.Table, order(1, "one", "1.00")))...)
	apply(t, s, many)
	for i := range events {
		want[int64(100+i)] = many.To
	}
	want[1] = many.To
	b.extras(t, tg, want)
}

func testExtraColumnsAdded(t *testing.T, b *bench) {
	tg := withExtra(orders())
	plain := tg
	plain.Extra = sinks.Extra{}
	b.loaded(t, Options{}, plain, order(1, "one", "1.00"), order(2, "two", "2.00"))
	before := b.versions(t, plain)
	s := b.open(t, Options{}, tg)
	for _, r := range b.Rows(t, tg) {
		if !r.AppliedAt.IsZero() {
			t.Errorf("row %v from before the columns were added was applied at %s, want NULL", r.Row, r.AppliedAt)
		}
	}
	b.load(t, s, tg, order(1, "one", "1.00"), order(2, "two", "2.00"))
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" {
		t.Fatalf("rows that were right were written:\n%s", d)
	}
	batch := b.changes(update(tg.Table, order(2, "two", "2.00"), order(2, "zwei", "2.00")))
	apply(t, s, batch)
	b.want(t, tg, order(1, "one", "1.00"), order(2, "zwei", "2.00"))
	rows := b.Rows(t, tg)
	if rows[1].Position != batch.To || rows[1].AppliedAt.IsZero() || !rows[0].AppliedAt.IsZero() {
		t.Errorf("the extra columns of what was written and of what was not: %+v", rows)
	}
	s = b.open(t, Options{}, plain) // and taken out again: the columns stay
	apply(t, s, b.changes(insert(tg.Table, order(3, "three", "3.00"))))
	b.want(t, plain, order(1, "one", "1.00"), order(2, "zwei", "2.00"), order(3, "three", "3.00"))

	shape := orders()
	shape.Columns[1].Name = "_CDC_Position"
	err := b.openOnly(t, Options{}).Prepare(t.Context(), b.stream, []sinks.Target{withExtra(shape)})
	if sinks.ClassOf(err) != sinks.Stop {
		t.Errorf("a view with such a column of its own: %v, want a stop", err)
	}
}
