// Package sinktest is the one meaning of a sink: a conformance suite that every destination passes. A
// destination joins in by a Factory in its own tests.
package sinktest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Factory makes an empty destination for one test.
type Factory func(t *testing.T) Destination

// Destination is a destination seen from outside: how to open a sink on it, and how to look into it and
// meddle with it without one.
type Destination struct {
	// Open makes a new process of the sink.
	Open func(t testing.TB, o Options) sinks.Sink
	// Rows returns what a reader sees of a target's table, in key order.
	Rows func(t testing.TB, target sinks.Target) []Row
	// Plant writes rows as a foreigner would; it makes the table unless it exists.
	Plant func(t testing.TB, target sinks.Target, rows ...change.Row)
	// Refuse makes the target's table refuse rows that hold the text in the column.
	Refuse func(t testing.TB, target sinks.Target, column, text string)
	// Alter does something to the target's table behind the sink's back, to the column unless it is the table's drop.
	Alter func(t testing.TB, target sinks.Target, what Drift, column string)
	// Unique adds a unique index over the column.
	Unique func(t testing.TB, target sinks.Target, column string)
	// Quarantine returns the content of cdc_quarantine in order of table and key.
	Quarantine func(t testing.TB) []Quarantined
	// Cut ends the connections of all sinks, as a restart of the server would.
	Cut func(t testing.TB)
	// Backup returns a function that puts the destination back to what it is now.
	Backup func(t testing.TB) (restore func())
	// Digest, unless nil, is the digest that the destination computes of what it shows.
	Digest func(t testing.TB, target sinks.Target) sinks.Digest
	// Limits are what the destination's docs say that it cannot hold; the suite asserts the refusal instead.
	Limits Limits
}

// Limits of a destination; nil functions stand for none.
type Limits struct {
	// Type reports whether a column of the type, or one in the key, is refused at Prepare, by its name.
	Type func(typ change.Type, key bool) bool
	// Value reports whether a row with the value in a column of the type is poison.
	Value func(typ change.Type, v change.Value) bool
	// OneKey reports whether the destination takes different values of a key column for one: the row that comes later
	// is poison.
	OneKey func(a, b change.Value) bool
	// Rewrites says that a change is written though the row is there already: nothing is read before it. What covers
	// bring is compared all the same.
	Rewrites bool
	// NoUnique says that there are no unique indexes beside the key; values swap all the same.
	NoUnique bool
	// Moments says that a reader may see what one batch changes in several steps: some rows or tables as they were
	// before it, some as they are after it, each key as the one or as the other. Of a batch that was cut off that lasts
	// until the batch is applied again.
	Moments bool
}

func (l Limits) refusesType(typ change.Type, key bool) bool { return l.Type != nil && l.Type(typ, key) }

func (l Limits) refusesValue(typ change.Type, v change.Value) bool {
	return l.Value != nil && l.Value(typ, v)
}

func (l Limits) oneKey(a, b change.Value) bool { return l.OneKey != nil && l.OneKey(a, b) }

// Options of a sink under test.
type Options struct {
	// Reader is the sink's name.
	Reader   string
	OnPoison sinks.OnPoison
	// Memory bounds the rows held at a time, in bytes; 0 the sink's default.
	Memory   int
	Observer sinks.Observer
	// Hook is called before and after each effect; an error is a crash there.
	Hook func(step string) error
}

// Row is a row as a reader sees it.
type Row struct {
	Row change.Row
	// Deleted is IsDeleted of a target with soft deletes.
	Deleted bool
	// Version changes when the row is written (xmin, a counter).
	Version string
	// Position and AppliedAt are the extra columns of a target that has them; zero for NULL.
	Position  change.Seq
	AppliedAt time.Time
}

// Quarantined is one entry of cdc_quarantine.
type Quarantined struct {
	Table, Key string
	Seq        change.Seq
}

// Run runs the suite; each test gets a destination of its own.
func Run(t *testing.T, f Factory) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"empty batches move the mark", testEmptyBatch},
		{"same key several times", testSameKey},
		{"delete then insert", testDeleteInsert},
		{"key change", testKeyChange},
		{"older batch after newer", testOlderBatch},
		{"a version lower than what is stored", testLowerVersion},
		{"two writers", testTwoWriters},
		{"null in a key equals null", testNullKey},
		{"keys that differ in case or trailing spaces", testAlikeKeys},
		{"two rows swap a unique value", testSwapUnique},
		{"a table that is not empty", testNotEmpty},
		{"wide types", testWideTypes},
		{"poison in the middle", testPoison},
		{"poison in covers", testPoisonCover},
		{"poison deletes or stops", testPoisonOptions},
		{"poison in parts of a batch", testPoisonInParts},
		{"a hundred thousand rows", testManyRows},
		{"a batch larger than memory", testLargerThanMemory},
		{"events are read as they come", testLazy},
		{"a batch encoded while another is applied", testAhead},
		{"what was encoded ahead is stale", testAheadStale},
		{"poison ahead", testAheadPoison},
		{"statements do not grow with rows", testStatements},
		{"every value is null", testEveryNull},
		{"a slow server is given up", testSlow},
		{"first load is shown at its end", testFirstLoad},
		{"heal writes the net difference", testHealDifference},
		{"additive cover", testAdditive},
		{"live chunk", testLiveChunk},
		{"live chunk on a staged table", testLiveChunkStaged},
		{"cover for another reader", testOtherReader},
		{"new begin voids what was staged", testNewBegin},
		{"an end older than what is shown is held", testHeldEnd},
		{"cover without key order", testUnordered},
		{"rows with a where delete nothing", testNoRange},
		{"progressive heal", testProgressive},
		{"ranges of several key columns", testRanges},
		{"soft delete", testSoftDelete},
		{"extra columns", testExtraColumns},
		{"extra columns are added to a table", testExtraColumnsAdded},
		{"a target that was not delivered for a while", testTargetReturns},
		{"a column is added", testColumnAdded},
		{"every type is added, and grows", testEvolution},
		{"a column is gone", testColumnGone},
		{"schema drift", testDrift},
		{"restored to an older state", testRestore},
		{"killed at every step", testKilledEverywhere},
		{"connection lost at every step", testLostEverywhere},
		{"connection lost at every statement", testLostStatements},
		{"random histories", testRandom},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, &bench{Destination: f(t), feed: newFeed("jupiter-views")})
		})
	}
}

// bench is a destination with a stream that feeds it.
type bench struct {
	Destination
	*feed
}

// open makes a sink and prepares it.
func (b *bench) open(t testing.TB, o Options, targets ...sinks.Target) sinks.Sink {
	t.Helper()
	s := b.openOnly(t, o)
	if err := s.Prepare(t.Context(), b.stream, targets); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	return s
}

func (b *bench) openOnly(t testing.TB, o Options) sinks.Sink {
	t.Helper()
	if o.Reader == "" {
		o.Reader = "neptune"
	}
	s := b.Open(t, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// loaded opens a sink whose targets are shown with the given rows.
func (b *bench) loaded(t testing.TB, o Options, target sinks.Target, rows ...change.Row) sinks.Sink {
	t.Helper()
	s := b.open(t, o, target)
	b.load(t, s, target, rows...)
	return s
}

// load fills a target by a heal of its own.
func (b *bench) load(t testing.TB, s sinks.Sink, target sinks.Target, rows ...change.Row) {
	t.Helper()
	id := b.newID()
	apply(t, s, b.begin(id, heal, target.Table), b.chunk(id, target.Table, change.WholeTable(), rows...), b.end(id, target.Table))
}

func apply(t testing.TB, s sinks.Sink, batches ...*change.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Apply(t.Context(), b); err != nil {
			t.Fatalf("apply %s %d: %v", b.Kind, b.To, err)
		}
	}
}

func applied(t testing.TB, s sinks.Sink, stream string) change.Mark {
	t.Helper()
	m, err := s.Applied(t.Context(), stream)
	if err != nil {
		t.Fatalf("applied: %v", err)
	}
	return m
}

// boundaries returns the states of tables that do not follow the stream.
func boundaries(t testing.TB, s sinks.Sink, stream string) map[string]sinks.TableState {
	t.Helper()
	m, err := s.(sinks.Boundaries).Boundaries(t.Context(), stream)
	if err != nil {
		t.Fatalf("boundaries: %v", err)
	}
	return m
}

var compareRows = cmp.Options{
	cmp.Comparer(func(a, b change.Value) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// want checks the rows that are not deleted.
func (b *bench) want(t testing.TB, target sinks.Target, rows ...change.Row) {
	t.Helper()
	var got []change.Row
	for _, r := range b.Rows(t, target) {
		if !r.Deleted {
			got = append(got, r.Row)
		}
	}
	rows = slices.Clone(rows)
	sortRows(target.Table, rows)
	if !slices.EqualFunc(rows, got, change.Row.Equal) {
		if d := cmp.Diff(rows, got, compareRows); d != "" { // slow over many rows
			t.Fatalf("%s (-want +got):\n%s", target.To, d)
		}
	}
	if b.Digest == nil {
		return
	}
	var digest sinks.Digest
	for _, r := range rows {
		digest.Add(r)
	}
	if d := b.Digest(t, target); d != digest {
		t.Fatalf("%s: the destination computes the digest %+v of its rows, want %+v", target.To, d, digest)
	}
}

func sortRows(table *change.Table, rows []change.Row) {
	slices.SortFunc(rows, func(a, b change.Row) int {
		ka, errA := table.RowKey(a)
		kb, errB := table.RowKey(b)
		if err := errors.Join(errA, errB); err != nil {
			panic(err) // the suite's own rows have keys
		}
		return cmpKeys(ka, kb)
	})
}

func cmpKeys(a, b change.Key) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// versions maps each key to its row's version.
func (b *bench) versions(t testing.TB, target sinks.Target) map[change.Key]string {
	t.Helper()
	m := map[change.Key]string{}
	for _, r := range b.Rows(t, target) {
		k, err := target.Table.RowKey(r.Row)
		if err != nil {
			t.Fatal(err)
		}
		m[k] = r.Version
	}
	return m
}

func (b *bench) quarantined(t testing.TB, want ...Quarantined) {
	t.Helper()
	order := cmpopts.SortSlices(func(x, y Quarantined) bool { return x.Table < y.Table || x.Table == y.Table && x.Key < y.Key }) // not a server's own
	if d := cmp.Diff(want, b.Quarantine(t), order, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("cdc_quarantine (-want +got):\n%s", d)
	}
}
