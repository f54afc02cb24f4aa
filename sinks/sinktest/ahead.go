package sinktest

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// aheadRows is a number of rows that every sink encodes ahead.
const aheadRows = 1200

// encoderOf skips the test for sinks that encode nothing ahead.
func encoderOf(t *testing.T, b *bench, s sinks.Sink) sinks.Encoder {
	t.Helper()
	e, ok := s.(sinks.Encoder)
	if !ok || e.Encoder(b.stream) == nil {
		t.Skip("the sink encodes nothing ahead")
	}
	return e
}

// reads makes a batch count how often its events are read.
func reads(b *change.Batch) *int {
	n := new(int)
	open := b.Open
	b.Open = func(ctx context.Context) iter.Seq2[change.Event, error] {
		*n++
		return open(ctx)
	}
	return n
}

func aheadRow(i int, version string) change.Row {
	return order(int64(i), fmt.Sprintf("row %d %s", i, version), fmt.Sprintf("%d.25", i))
}

// aheadLoad is what the destination shows before.
func aheadLoad() (rows []change.Row) {
	for i := range aheadRows {
		rows = append(rows, aheadRow(i, "loaded"))
	}
	return rows
}

// aheadChanges are all kinds of change, several of a key among them, and the rows that are left of what was loaded.
func aheadChanges(table *change.Table, before, version string) (events []change.Event, left []change.Row) {
	for i := range aheadRows {
		was, is := aheadRow(i, before), aheadRow(i, version)
		switch i % 6 {
		case 0:
			events = append(events, remove(table, was))
		case 1:
			events = append(events, remove(table, was), insert(table, is))
			left = append(left, is)
		case 2:
			is[0] = change.IntValue(int64(i + 1_000_000)) // another key
			events = append(events, update(table, was, is))
			left = append(left, is)
		default:
			events = append(events, update(table, was, aheadRow(i, "between")), update(table, aheadRow(i, "between"), is))
			left = append(left, is)
		}
	}
	return events, left
}

// A batch that is encoded while the one before it is applied is not read again, and has the same result.
func testAhead(t *testing.T, b *bench) {
	tg, soft, waiting := target(orders()), target(pairs()), target(words())
	soft.Soft = true
	counts := map[change.Op]int{}
	s := b.open(t, Options{Observer: sinks.Observer{Applied: func(_ string, op change.Op, n int) { counts[op] += n }}}, tg, soft, waiting)
	e := encoderOf(t, b, s)
	b.load(t, s, tg, aheadLoad()...)
	five := int64(5)
	b.load(t, s, soft, pair(1, nil, "one"), pair(2, &five, "two"))
	clear(counts)

	first := b.changes(insert(tg.Table, order(-1, "first", "1.00")))
	events, left := aheadChanges(tg.Table, "loaded", "now")
	ops := map[change.Op]int{change.Insert: 1}
	for _, ev := range events {
		ops[ev.Op]++
	}
	ops[change.Delete]++
	ops[change.Update]++
	second := b.changes(append(events, remove(soft.Table, pair(1, nil, "one")), update(soft.Table, pair(2, &five, "two"), pair(2, &five, "deux")),
		insert(others(), order(1, "nobody's", "1.00")), insert(waiting.Table, word("passed over")))...)
	read := reads(second)
	encode := e.Encoder(b.stream)
	var encoding sync.WaitGroup
	encoding.Go(func() { second.Encoded = encode(t.Context(), second) })
	err := s.Apply(t.Context(), first)
	encoding.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if second.Encoded == nil || *read != 1 {
		t.Fatalf("the batch was read %d times and became %v, want something by one time", *read, second.Encoded)
	}
	apply(t, s, second)
	if *read != 1 {
		t.Errorf("the batch was read %d times, want once", *read)
	}
	b.want(t, tg, append(left, order(-1, "first", "1.00"))...)
	b.want(t, soft, pair(2, &five, "deux"))
	b.want(t, waiting)
	b.quarantined(t)
	for op, n := range ops {
		if counts[op] != n {
			t.Errorf("%d events of kind %s were told of, want %d", counts[op], op, n)
		}
	}
	if got := applied(t, s, b.stream); got != second.Mark {
		t.Errorf("applied %s, want %s", got, second.Mark)
	}
	again := *second // what was applied is passed over, also with what was made of it
	apply(t, s, &again)
	b.want(t, soft, pair(2, &five, "deux"))
}

// others is a table that nobody delivers.
func others() *change.Table {
	t := *orders()
	t.ID.Name = "Others"
	return &t
}

// What was encoded ahead is not used when it is not what would be encoded now.
func testAheadStale(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.open(t, Options{}, tg)
	e := encoderOf(t, b, s)
	b.load(t, s, tg, aheadLoad()...)
	encode := e.Encoder(b.stream)
	before := "loaded"
	version := 0
	// A step returns the rows of the next batch, in which each row keeps its key.
	next := func() ([]change.Event, []change.Row) {
		version++
		now := fmt.Sprint("v", version)
		var events []change.Event
		var rows []change.Row
		for i := range aheadRows {
			events = append(events, update(tg.Table, aheadRow(i, before), aheadRow(i, now)))
			rows = append(rows, aheadRow(i, now))
		}
		before = now
		return events, rows
	}
	check := func(name string, batch *change.Batch, read *int, rows []change.Row) {
		t.Helper()
		was := *read
		apply(t, s, batch)
		if *read == was {
			t.Errorf("%s: the batch was not read when it was applied", name)
		}
		b.want(t, tg, rows...)
	}

	events, _ := next()
	other := b.changes(events...)
	other.Encoded = encode(t.Context(), other)
	apply(t, s, other)
	events, rows := next()
	batch := b.changes(events...)
	read := reads(batch)
	batch.Encoded = other.Encoded
	check("of another batch", batch, read, rows)

	events, rows = next()
	batch = b.changes(events...)
	read = reads(batch)
	batch.Encoded = encode(t.Context(), batch)
	if err := s.Prepare(t.Context(), b.stream, []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	check("prepared again", batch, read, rows)

	// The destination's table gets a column between.
	wide := *orders()
	wide.Columns = append(wide.Columns, change.Column{Name: "More", Type: textType(20), Nullable: true})
	events, rows = next()
	schema := b.batch(change.Schema, nil, []*change.Table{&wide}, nil)
	batch = b.changes(events...)
	read = reads(batch)
	batch.Encoded = e.Encoder(b.stream)(t.Context(), batch)
	apply(t, s, schema)
	tg.Table = &wide
	for i := range rows {
		rows[i] = append(rows[i], change.NullValue())
	}
	check("another shape", batch, read, rows)
}

// Rows that are refused are found when they are applied, and listed keys are taken off the list.
func testAheadPoison(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.open(t, Options{}, tg)
	e := encoderOf(t, b, s)
	b.load(t, s, tg, aheadLoad()...)
	var events, mended []change.Event
	var rows, final []change.Row
	for i := range aheadRows {
		r := aheadRow(i, "poison")
		if i == 700 {
			r[2] = change.AbsentValue()
			rows = append(rows, aheadRow(i, "loaded"))
		} else {
			rows = append(rows, r)
		}
		events = append(events, update(tg.Table, aheadRow(i, "loaded"), r))
		mended = append(mended, update(tg.Table, rows[i], aheadRow(i, "mended")))
		final = append(final, aheadRow(i, "mended"))
	}
	bad, good := b.changes(events...), b.changes(mended...)
	encode := e.Encoder(b.stream)
	if got := encode(t.Context(), bad); got != nil {
		t.Fatalf("a batch with a row that is refused became %v", got)
	}
	if good.Encoded = encode(t.Context(), good); good.Encoded == nil {
		t.Fatal("a batch without one became nothing")
	}
	apply(t, s, bad)
	b.want(t, tg, rows...)
	b.quarantined(t, Quarantined{Table: tg.From, Key: "[700]", Seq: bad.To})
	apply(t, s, good) // it was encoded when nothing was listed
	b.want(t, tg, final...)
	b.quarantined(t)

	withheld := b.changes(mended...)
	open := withheld.Open
	withheld.Open = func(ctx context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for ev, err := range open(ctx) {
				ev.Refused = "a contract says so"
				if !yield(ev, err) {
					return
				}
			}
		}
	}
	if got := e.Encoder(b.stream)(t.Context(), withheld); got != nil {
		t.Errorf("a batch of rows that contracts withhold became %v", got)
	}
	tight := encoderOf(t, b, b.open(t, Options{Memory: 10_000}, tg))
	if got := tight.Encoder(b.stream)(t.Context(), good); got != nil {
		t.Errorf("a batch larger than memory became %v", got)
	}
}
