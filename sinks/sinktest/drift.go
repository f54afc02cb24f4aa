package sinktest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Drift is what somebody does to a target's table behind the sink's back.
type Drift uint8

// The drifts of the suite.
const (
	// AddColumn adds a column of their own, an integer that may be NULL.
	AddColumn Drift = iota + 1
	// DropColumn drops a column that the sink writes.
	DropColumn
	// NarrowColumn makes a column of 32 bits one of 16.
	NarrowColumn
	// DropTable drops the table that holds the rows.
	DropTable
)

func (d Drift) String() string {
	return [...]string{"", "a column is added", "a column is dropped", "a type is narrowed", "the table is dropped"}[d]
}

// stocks has a column of each kind that is meddled with.
func stocks(name string) *change.Table {
	return &change.Table{ID: change.TableID{Name: name}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: intType},
		{Name: "Name", Type: textType(40), Nullable: true},
		{Name: "Amount", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}, Nullable: true},
		{Name: "Pieces", Type: intType, Nullable: true},
	}}
}

func stock(id, pieces int64) change.Row {
	return change.Row{change.IntValue(id), change.StringValue("name"), change.DecimalValue("1.50"), change.IntValue(pieces)}
}

// testDrift: what somebody does to a table between two batches is noticed before anything wrong is written: the
// sink goes on where it can, or names what is not as it left it, and a new process and a resync mend it.
func testDrift(t *testing.T, b *bench) {
	for _, memory := range []int{0, 1} { // the rows of a batch may take another way when they are many
		for _, c := range []struct {
			drift  Drift
			column string
			test   func(*drifted, *testing.T)
		}{
			{AddColumn, "Theirs", (*drifted).goesOn},
			{DropColumn, "Amount", (*drifted).lacksColumn},
			{NarrowColumn, "Pieces", (*drifted).isNarrow},
			{DropTable, "", (*drifted).isGone},
		} {
			t.Run(fmt.Sprintf("%s, memory %d", c.drift, memory), func(t *testing.T) {
				d := &drifted{
					bench: &bench{Destination: b.Destination, feed: newFeed(fmt.Sprintf("drift-%d-%d", c.drift, memory))},
					drift: c.drift, column: c.column, o: Options{Memory: memory},
					tg: target(stocks(fmt.Sprintf("Stock%d%d", c.drift, memory))),
				}
				d.s = d.loaded(t, d.o, d.tg, stock(1, 1), stock(2, 2))
				apply(t, d.s, d.changes(update(d.tg.Table, stock(1, 1), stock(1, 10)))) // the way is known and prepared
				c.test(d, t)
			})
		}
	}
}

// drifted is a target whose table is about to be meddled with, and the sink that writes to it.
type drifted struct {
	*bench
	s      sinks.Sink
	o      Options
	tg     sinks.Target
	drift  Drift
	column string
	before change.Mark
}

func (d *drifted) happens(t *testing.T) {
	t.Helper()
	d.before = applied(t, d.s, d.stream)
	d.Alter(t, d.tg, d.drift, d.column)
}

func (d *drifted) goesOn(t *testing.T) {
	d.happens(t)
	events := []change.Event{insert(d.tg.Table, stock(3, 3)), update(d.tg.Table, stock(1, 10), stock(1, 11)), remove(d.tg.Table, stock(2, 2))}
	apply(t, d.s, d.changes(events...))
	d.want(t, d.tg, stock(1, 11), stock(3, 3))
	d.s = d.open(t, d.o, d.tg)
	apply(t, d.s, d.changes(insert(d.tg.Table, stock(4, 4))))
	d.load(t, d.s, d.tg, stock(1, 11), stock(4, 4))
	d.want(t, d.tg, stock(1, 11), stock(4, 4))
}

// refuses asserts that the batch stops the sink with the names of what is not as it should be, now and again.
func (d *drifted) refuses(t *testing.T, batch *change.Batch) {
	t.Helper()
	for range 2 {
		err := d.s.Apply(t.Context(), batch)
		if sinks.ClassOf(err) != sinks.Stop {
			t.Fatalf("%s: %v, want a stop", d.drift, err)
		}
		words := []string{d.tg.To, "restart the sink"}
		if d.column != "" { // some servers say no more of the table
			words = []string{d.column, "restart the sink", "cdc resync"}
		}
		for _, w := range words {
			if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(w)) { // names may be spelt another way
				t.Errorf("%s: the error does not say %q: %v", d.drift, w, err)
			}
		}
	}
	s := d.open(t, d.o, d.tg)
	if m := applied(t, s, d.stream); m != d.before {
		t.Fatalf("%s: the mark moved from %s to %s over a batch that was refused", d.drift, d.before, m)
	}
	d.s = s
}

func (d *drifted) lacksColumn(t *testing.T) {
	d.happens(t)
	batch := d.changes(insert(d.tg.Table, stock(3, 3)))
	d.refuses(t, batch) // and a new process has made the column again, without its values
	apply(t, d.s, batch)
	d.load(t, d.s, d.tg, stock(1, 10), stock(2, 2), stock(3, 3)) // what cdc resync does
	d.want(t, d.tg, stock(1, 10), stock(2, 2), stock(3, 3))
}

func (d *drifted) isNarrow(t *testing.T) {
	const large = 100_000 // of more than 16 bits
	d.happens(t)
	batch := d.changes(insert(d.tg.Table, stock(3, 3)), insert(d.tg.Table, stock(4, large)))
	err := d.s.Apply(t.Context(), batch)
	switch {
	case err == nil: // the row is poison
		d.want(t, d.tg, stock(1, 10), stock(2, 2), stock(3, 3))
		d.quarantinedHere(t, "[4]")
		d.s = d.open(t, d.o, d.tg)
		apply(t, d.s, d.changes(update(d.tg.Table, stock(4, large), stock(4, large+1))))
	default:
		d.refuses(t, batch)
		apply(t, d.s, batch, d.changes(update(d.tg.Table, stock(4, large), stock(4, large+1))))
	}
	d.want(t, d.tg, stock(1, 10), stock(2, 2), stock(3, 3), stock(4, large+1))
	d.quarantinedHere(t)
}

// quarantinedHere checks the keys that are listed of the target.
func (d *drifted) quarantinedHere(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, q := range d.Quarantine(t) {
		if q.Table == d.tg.From {
			got = append(got, q.Key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: quarantined (-want +got):\n%s", d.drift, diff)
	}
}

func (d *drifted) isGone(t *testing.T) {
	d.happens(t)
	batch := d.changes(insert(d.tg.Table, stock(3, 3)))
	d.refuses(t, batch)
	if st := boundaries(t, d.s, d.stream)[d.tg.From]; st.Phase != sinks.Waiting {
		t.Fatalf("a table that was made again is %s, want waiting for its content", st.Phase)
	}
	apply(t, d.s, batch)
	d.load(t, d.s, d.tg, stock(1, 10), stock(2, 2), stock(3, 3))
	d.want(t, d.tg, stock(1, 10), stock(2, 2), stock(3, 3))
}
