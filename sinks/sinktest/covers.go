package sinktest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func testFirstLoad(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.open(t, Options{}, tg)
	id := b.newID()
	apply(t, s, b.begin(id, heal, tg.Table))
	apply(t, s, b.chunk(id, tg.Table, ints(-1000, 10), order(1, "one", "1.00"), order(2, "two", "2.00")))
	apply(t, s, b.changes(update(tg.Table, order(2, "two", "2.00"), order(2, "zwei", "2.00")), insert(tg.Table, order(3, "three", "3.00"))))
	b.want(t, tg)
	s = b.open(t, Options{}, tg) // what is staged outlives the process
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Staged || st.Cover != id || !st.Boundary.IsZero() {
		t.Fatalf("the table is %+v, want staged under %s with nothing shown", st, id)
	}
	lo := change.IntValue(10)
	apply(t, s, b.chunk(id, tg.Table, between(&lo, nil), order(11, "eleven", "11.00")))
	b.want(t, tg)
	apply(t, s, b.end(id, tg.Table))
	b.want(t, tg, order(2, "zwei", "2.00"), order(3, "three", "3.00"), order(1, "one", "1.00"), order(11, "eleven", "11.00"))
	if st := boundaries(t, s, b.stream); len(st) > 0 {
		t.Fatalf("after the end: %v, want no table with a place of its own", st)
	}
	apply(t, s, b.changes(remove(tg.Table, order(1, "one", "1.00"))))
	b.want(t, tg, order(2, "zwei", "2.00"), order(3, "three", "3.00"), order(11, "eleven", "11.00"))
}

func testHealDifference(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "right", "1.00"), order(2, "wrong", "2.00"), order(3, "gone", "3.00"))
	shown := applied(t, s, b.stream)
	before := b.versions(t, tg)
	id := b.newID()
	apply(t, s, b.begin(id, heal, tg.Table))
	apply(t, s, b.changes(insert(tg.Table, order(5, "streamed", "5.00")), remove(tg.Table, order(1, "right", "1.00"))))
	apply(t, s, b.chunk(id, tg.Table, change.WholeTable(), order(1, "right", "1.00"), order(2, "mended", "2.00"), order(4, "new", "4.00"), order(5, "streamed", "5.00")))
	apply(t, s, b.changes(update(tg.Table, order(4, "new", "4.00"), order(4, "newer", "4.00"))))
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" {
		t.Fatalf("the table moved before the end:\n%s", d)
	}
	if st := boundaries(t, s, b.stream)[tg.From]; st.Boundary != shown {
		t.Fatalf("what is shown stands at %s, want %s", st.Boundary, shown)
	}
	apply(t, s, b.end(id, tg.Table))
	b.want(t, tg, order(1, "right", "1.00"), order(2, "mended", "2.00"), order(4, "newer", "4.00"), order(5, "streamed", "5.00"))
	k := change.KeyOf(change.IntValue(1))
	if got := b.versions(t, tg)[k]; got != before[k] {
		t.Errorf("a row that was right was written: version %s, before %s", got, before[k])
	}
}

func testAdditive(t *testing.T, b *bench) {
	has, lacks := target(orders()), target(pairs())
	b.loaded(t, Options{}, has, order(1, "one", "1.00"), order(2, "wrong", "2.00"))
	s := b.open(t, Options{}, has, lacks) // a view was added
	if st := boundaries(t, s, b.stream); len(st) != 1 || st[lacks.From].Phase != sinks.Waiting {
		t.Fatalf("boundaries %v, want %s waiting", st, lacks.From)
	}
	apply(t, s, b.changes(insert(lacks.Table, pair(9, nil, "before the cover"))))
	b.want(t, lacks)
	before := b.versions(t, has)
	id := b.newID()
	apply(t, s, b.begin(id, additive, has.Table, lacks.Table))
	apply(t, s, b.chunk(id, has.Table, change.WholeTable(), order(1, "one", "1.00"), order(2, "right", "2.00")))
	b.want(t, has, order(1, "one", "1.00"), order(2, "right", "2.00")) // who has it applies chunks as they come
	apply(t, s, b.chunk(id, lacks.Table, change.WholeTable(), pair(1, nil, "staged")))
	b.want(t, lacks) // who had nothing stages
	apply(t, s, b.changes(insert(lacks.Table, pair(2, nil, "streamed")), insert(has.Table, order(3, "live", "3.00"))))
	b.want(t, lacks)
	b.want(t, has, order(1, "one", "1.00"), order(2, "right", "2.00"), order(3, "live", "3.00"))
	apply(t, s, b.end(id, has.Table, lacks.Table))
	b.want(t, lacks, pair(1, nil, "staged"), pair(2, nil, "streamed"))
	k := change.KeyOf(change.IntValue(1))
	if got := b.versions(t, has)[k]; got != before[k] {
		t.Errorf("a row that was right was written: version %s, before %s", got, before[k])
	}
}

func testLiveChunk(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "a", "1.00"), order(10, "right", "1.00"), order(11, "phantom", "1.00"), order(12, "wrong", "1.00"), order(20, "z", "1.00"))
	before := b.versions(t, tg)
	id := b.newID()
	apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, ints(10, 20), order(10, "right", "1.00"), order(12, "mended", "1.00"), order(13, "missing", "1.00")))
	b.want(t, tg, order(1, "a", "1.00"), order(10, "right", "1.00"), order(12, "mended", "1.00"), order(13, "missing", "1.00"), order(20, "z", "1.00"))
	after := b.versions(t, tg)
	for _, id := range []int64{1, 10, 20} {
		if k := change.KeyOf(change.IntValue(id)); after[k] != before[k] {
			t.Errorf("row %d was right and was written", id)
		}
	}
	lo, hi := change.IntValue(20), change.IntValue(1)
	apply(t, s, b.chunk(id, tg.Table, between(&lo, nil)), b.chunk(id, tg.Table, between(nil, &hi)), b.end(id, tg.Table))
	b.want(t, tg, order(1, "a", "1.00"), order(10, "right", "1.00"), order(12, "mended", "1.00"), order(13, "missing", "1.00"))
}

func testLiveChunkStaged(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "shown", "1.00"))
	a, live := b.newID(), b.newID()
	apply(t, s, b.begin(a, heal, tg.Table), b.chunk(a, tg.Table, change.WholeTable(), order(1, "stale", "1.00"), order(2, "phantom", "2.00")))
	apply(t, s, b.begin(live, additive, tg.Table), b.chunk(live, tg.Table, ints(1, 10), order(1, "mended", "1.00")), b.end(live, tg.Table))
	b.want(t, tg, order(1, "shown", "1.00"))
	apply(t, s, b.end(a, tg.Table))
	b.want(t, tg, order(1, "mended", "1.00"))
}

func testOtherReader(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"))
	other, mine := b.newID(), b.newID()
	pass := func(batch *change.Batch) *change.Batch { // its rows are not fetched
		batch.Cover.For, batch.Rows, batch.Open = "mars", 3, nil
		return batch
	}
	apply(t, s, pass(b.begin(other, heal, tg.Table)), pass(b.chunk(other, tg.Table, change.WholeTable())),
		b.changes(insert(tg.Table, order(2, "two", "2.00"))), pass(b.end(other, tg.Table)))
	b.want(t, tg, order(1, "one", "1.00"), order(2, "two", "2.00"))
	apply(t, s, b.begin(mine, forReader("neptune"), tg.Table), b.chunkAs(forReader("neptune"), mine, tg.Table, change.WholeTable(), order(7, "mine", "1.00")), b.end(mine, tg.Table))
	b.want(t, tg, order(7, "mine", "1.00"))
}

func testNewBegin(t *testing.T, b *bench) {
	tg, pg := target(orders()), target(pairs())
	s := b.open(t, Options{}, tg, pg)
	b.load(t, s, tg, order(1, "shown", "1.00"))
	b.load(t, s, pg, pair(1, nil, "shown"))
	shown := boundaryOf(t, b, s)
	first, second := b.newID(), b.newID()
	apply(t, s, b.begin(first, heal, tg.Table, pg.Table), b.chunk(first, tg.Table, change.WholeTable(), order(2, "void", "2.00")),
		b.chunk(first, pg.Table, change.WholeTable(), pair(2, nil, "kept")))
	apply(t, s, b.begin(second, heal, tg.Table), b.chunk(second, tg.Table, ints(-100, 100), order(3, "counts", "3.00")))
	apply(t, s, b.end(first, tg.Table, pg.Table)) // an older id shows only what is still under it
	b.want(t, tg, order(1, "shown", "1.00"))
	b.want(t, pg, pair(2, nil, "kept"))
	if st := boundaries(t, s, b.stream)[tg.From]; st.Boundary != shown || st.Cover != second {
		t.Fatalf("the table is %+v, want the boundary %s under %s", st, shown, second)
	}
	apply(t, s, b.end(second, tg.Table))
	b.want(t, tg, order(3, "counts", "3.00"))
}

func boundaryOf(t *testing.T, b *bench, s sinks.Sink) change.Mark {
	t.Helper()
	return applied(t, s, b.stream)
}

func testHeldEnd(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "shown", "1.00"))
	ahead := b.mark.Position
	// The source's log is read again from an older place: numbers go on, positions do not.
	at := func(n int64, batch *change.Batch) *change.Batch {
		batch.Mark.Position = change.Position{Server: "s", GTID: fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", n)}
		return batch
	}
	id := b.newID()
	apply(t, s, at(2, b.begin(id, heal, tg.Table)), at(3, b.chunk(id, tg.Table, change.WholeTable(), order(1, "older", "1.00"))), at(4, b.end(id, tg.Table)))
	b.want(t, tg, order(1, "shown", "1.00"))
	apply(t, s, at(5, b.changes(update(tg.Table, order(1, "older", "1.00"), order(1, "nearly", "1.00")))))
	b.want(t, tg, order(1, "shown", "1.00"))
	s = b.open(t, Options{}, tg)
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Held || st.Boundary.Position != ahead {
		t.Fatalf("the table is %+v, want held at %s", st, ahead)
	}
	last := b.changes(update(tg.Table, order(1, "nearly", "1.00"), order(1, "there", "1.00")))
	last.Mark.Position = ahead
	apply(t, s, last)
	b.want(t, tg, order(1, "there", "1.00"))

	// Idle records prove nothing of the source: one comes for each raw chunk that the views are made of.
	id = b.newID()
	apply(t, s, at(2, b.begin(id, heal, tg.Table)), at(3, b.chunk(id, tg.Table, change.WholeTable(), order(1, "set back", "1.00"))),
		at(4, b.end(id, tg.Table)), at(5, b.idle()), at(5, b.idle()))
	b.want(t, tg, order(1, "there", "1.00"))

	// Nor does an operator's word while the source has what is shown; where it has lost that, it does.
	for _, c := range []struct {
		lost bool
		want string
	}{{false, "there"}, {true, "set back"}} {
		id = b.newID()
		meant := func(batch *change.Batch) *change.Batch {
			if batch.Cover.Back = ahead; c.lost {
				batch.Cover.Back = at(3, batch).Mark.Position
			}
			return batch
		}
		apply(t, s, at(2, meant(b.begin(id, heal, tg.Table))), at(3, b.chunk(id, tg.Table, change.WholeTable(), order(1, "set back", "1.00"))))
		b.want(t, tg, order(1, "there", "1.00"))
		apply(t, s, at(4, meant(b.end(id, tg.Table))))
		b.want(t, tg, order(1, c.want, "1.00"))
	}

	// A source with another identity has places that do not compare: what it has is shown.
	id = b.newID()
	restored := func(n int64, batch *change.Batch) *change.Batch {
		at(n, batch).Mark.Position.Server = "restored"
		return batch
	}
	apply(t, s, restored(2, b.begin(id, heal, tg.Table)), restored(3, b.chunk(id, tg.Table, change.WholeTable(), order(1, "restored", "1.00"))),
		restored(4, b.end(id, tg.Table)))
	b.want(t, tg, order(1, "restored", "1.00"))
}

func testUnordered(t *testing.T, b *bench) {
	tg := target(words())
	s := b.open(t, Options{}, tg)
	id := b.newID()
	apply(t, s, b.begin(id, healUnordered, tg.Table), b.chunkAs(healUnordered, id, tg.Table, change.WholeTable(), word("b"), word("A")),
		b.chunkAs(healUnordered, id, tg.Table, change.WholeTable(), word("c")), b.changes(insert(tg.Table, word("d")), remove(tg.Table, word("b"))))
	b.want(t, tg)
	apply(t, s, b.end(id, tg.Table))
	b.want(t, tg, word("A"), word("c"), word("d"))
	// Live: chunks are applied as they come, what was not seen is deleted at the end.
	id = b.newID()
	apply(t, s, b.begin(id, unordered, tg.Table), b.changes(insert(tg.Table, word("early"))), b.chunkAs(unordered, id, tg.Table, change.WholeTable(), word("d"), word("missing")))
	b.want(t, tg, word("A"), word("c"), word("d"), word("early"), word("missing"))
	s = b.open(t, Options{}, tg)
	apply(t, s, b.changes(update(tg.Table, word("c"), word("C")), remove(tg.Table, word("early")), insert(tg.Table, word("early"))))
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Noting || st.Boundary != b.mark {
		t.Fatalf("the table is %+v, want noting at the stream's place %s", st, b.mark)
	}
	apply(t, s, b.end(id, tg.Table))
	b.want(t, tg, word("d"), word("missing"), word("C"), word("early"))
}

func testNoRange(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"), order(2, "two", "2.00"))
	id := b.newID()
	apply(t, s, b.begin(id, additive, tg.Table), b.chunkAs(noRange, id, tg.Table, change.WholeTable(), order(2, "zwei", "2.00"), order(3, "three", "3.00")), b.end(id, tg.Table))
	b.want(t, tg, order(1, "one", "1.00"), order(2, "zwei", "2.00"), order(3, "three", "3.00"))
}

func testProgressive(t *testing.T, b *bench) {
	tg := target(orders())
	tg.Progressive = true
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"), order(5, "phantom", "5.00"))
	shown := applied(t, s, b.stream)
	id := b.newID()
	apply(t, s, b.begin(id, heal, tg.Table), b.chunk(id, tg.Table, ints(0, 3), order(1, "mended", "1.00"), order(2, "two", "2.00")))
	b.want(t, tg, order(1, "mended", "1.00"), order(2, "two", "2.00"), order(5, "phantom", "5.00"))
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Open || st.Boundary != shown {
		t.Fatalf("the table is %+v, want open with its last true boundary %s", st, shown)
	}
	lo := change.IntValue(3)
	apply(t, s, b.chunk(id, tg.Table, between(&lo, nil)), b.end(id, tg.Table))
	b.want(t, tg, order(1, "mended", "1.00"), order(2, "two", "2.00"))
	if st := boundaries(t, s, b.stream); len(st) > 0 {
		t.Fatalf("after the end: %v", st)
	}
}

// testRanges puts bounds of every shape over a table with a nullable second key column and compares what
// is left with change.KeyRange.Contains.
func testRanges(t *testing.T, b *bench) {
	tg, wg := target(pairs()), target(words())
	s := b.open(t, Options{}, tg, wg)
	var rows, texts []change.Row
	for a := int64(-2); a <= 2; a++ {
		rows = append(rows, pair(a, nil, "null"))
		for n := int64(-2); n <= 2; n++ {
			rows = append(rows, pair(a, &n, "value"))
		}
	}
	for _, w := range []string{"", "a", "A", "ab", "abc", "é", "z", "Z", "a b", "a\x01", "日本", "😀"} {
		texts = append(texts, word(w))
	}
	one, null, two := change.IntValue(1), change.NullValue(), change.IntValue(2)
	key := change.KeyOf
	bounds := []change.Key{
		key(one), key(one, null), key(one, one), key(one, null) + "\x00", key(one, one) + "\x00", key(one) + "\xff",
		key(change.IntValue(-1), two), key(null), key(change.IntValue(-9)), key(change.IntValue(9)), "",
	}
	checkRanges(t, b, s, tg, rows, bounds)
	text := change.StringValue
	checkRanges(t, b, s, wg, texts, []change.Key{
		key(text("a")), key(text("a")) + "\x00", key(text("ab")), key(text("a\x00b")), key(text("é")), key(text("ZZ")), key(text("日")), "",
	})
}

func checkRanges(t *testing.T, b *bench, s sinks.Sink, tg sinks.Target, rows []change.Row, bounds []change.Key) {
	t.Helper()
	var ranges []change.KeyRange
	for _, lo := range bounds {
		ranges = append(ranges, change.KeyRange{Lo: lo, HasLo: true}, change.KeyRange{Hi: lo, HasHi: true})
		for _, hi := range bounds {
			ranges = append(ranges, change.KeyRange{Lo: lo, HasLo: true, Hi: hi, HasHi: true})
		}
	}
	for _, r := range ranges {
		b.load(t, s, tg, rows...)
		id := b.newID()
		apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, r), b.end(id, tg.Table))
		var left []change.Row
		for _, row := range rows {
			if k, err := tg.Table.RowKey(row); err != nil {
				t.Fatal(err)
			} else if !r.Contains(k) {
				left = append(left, row)
			}
		}
		var got []change.Row
		for _, row := range b.Rows(t, tg) {
			got = append(got, row.Row)
		}
		sortRows(tg.Table, left)
		if d := cmp.Diff(left, got, compareRows); d != "" {
			t.Fatalf("an empty chunk of [%x, %x) (%t, %t) (-want left +got):\n%s", string(r.Lo), string(r.Hi), r.HasLo, r.HasHi, d)
		}
	}
}

func testSoftDelete(t *testing.T, b *bench) {
	tg := target(orders())
	tg.Soft = true
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"), order(2, "two", "2.00"), order(3, "three", "3.00"))
	apply(t, s, b.changes(remove(tg.Table, order(1, "one", "1.00")), update(tg.Table, order(2, "two", "2.00"), order(4, "two", "2.00"))))
	b.want(t, tg, order(3, "three", "3.00"), order(4, "two", "2.00"))
	if n := len(b.Rows(t, tg)); n != 4 {
		t.Fatalf("%d rows in the table, want 4 with the deleted ones", n)
	}
	before := b.versions(t, tg)
	apply(t, s, b.changes(remove(tg.Table, order(1, "one", "1.00"))))
	if b.Limits.Rewrites {
		before = b.versions(t, tg)
	}
	id := b.newID()
	apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, ints(0, 4), order(3, "three", "3.00")), b.end(id, tg.Table))
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" {
		t.Fatalf("rows that were deleted were deleted again:\n%s", d)
	}
	apply(t, s, b.changes(insert(tg.Table, order(1, "one", "1.00")))) // it comes back as it was
	b.want(t, tg, order(1, "one", "1.00"), order(3, "three", "3.00"), order(4, "two", "2.00"))
	b.load(t, s, tg, order(2, "back", "2.00"), order(4, "two", "2.00"))
	b.want(t, tg, order(2, "back", "2.00"), order(4, "two", "2.00"))
}

func testTargetReturns(t *testing.T, b *bench) {
	tg, pg := target(orders()), target(pairs())
	s := b.open(t, Options{}, tg, pg)
	b.load(t, s, tg, order(1, "one", "1.00"))
	b.load(t, s, pg, pair(1, nil, "one"))
	last := applied(t, s, b.stream)
	s = b.open(t, Options{}, pg) // not delivered for a while
	apply(t, s, b.changes(insert(tg.Table, order(2, "missed", "2.00"))))
	s = b.open(t, Options{}, tg, pg)
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Waiting || st.Boundary != last {
		t.Fatalf("the table is %+v, want waiting at %s", st, last)
	}
	apply(t, s, b.changes(update(tg.Table, order(1, "one", "1.00"), order(1, "uno", "1.00"))))
	b.want(t, tg, order(1, "one", "1.00"))
	id := b.newID()
	apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, change.WholeTable(), order(1, "uno", "1.00"), order(2, "missed", "2.00")), b.end(id, tg.Table))
	b.want(t, tg, order(1, "uno", "1.00"), order(2, "missed", "2.00"))
}

func testColumnAdded(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"))
	wider := *tg.Table
	wider.Columns = append(wider.Columns[:len(wider.Columns):len(wider.Columns)],
		change.Column{Name: "Note", Type: textType(20), Nullable: true})
	wider.Columns[1].Type = textType(80)
	wider.Version++
	id := b.newID()
	apply(t, s, b.begin(id, heal, tg.Table), b.chunk(id, tg.Table, change.WholeTable(), order(1, "one", "1.00"))) // staged when it happens
	apply(t, s, b.batch(change.Schema, nil, []*change.Table{&wider}, nil))
	row := append(order(2, "a name that is longer than the forty characters of before", "2.00"), change.StringValue("noted"))
	apply(t, s, b.changes(insert(&wider, row)), b.end(id, tg.Table))
	tg.Table = &wider
	first := append(order(1, "one", "1.00"), change.NullValue())
	b.want(t, tg, first, row)
	s = b.open(t, Options{}, tg)
	apply(t, s, b.changes(remove(&wider, first)))
	b.want(t, tg, row)
}

// testColumnGone prepares a sink with the shape of tomorrow while the stream's tail still has the old one.
func testColumnGone(t *testing.T, b *bench) {
	old := target(orders())
	b.loaded(t, Options{}, old, order(1, "one", "1.00"), order(2, "two", "2.00"))
	narrow := *old.Table
	narrow.Columns = append(narrow.Columns[:1:1], narrow.Columns[2:]...)
	narrow.Version++
	tg := old
	tg.Table = &narrow
	s := b.open(t, Options{}, tg)
	apply(t, s, b.changes(update(old.Table, order(2, "two", "2.00"), order(2, "zwei", "2.50")), insert(old.Table, order(3, "three", "3.00"))))
	row := func(id int64, amount string) change.Row {
		return change.Row{change.IntValue(id), change.DecimalValue(amount)}
	}
	b.want(t, tg, row(1, "1.00"), row(2, "2.50"), row(3, "3.00"))
	b.load(t, s, tg, row(1, "1.00"), row(2, "2.50"), row(4, "4.00"))
	apply(t, s, b.changes(update(&narrow, row(4, "4.00"), row(4, "4.50"))))
	b.want(t, tg, row(1, "1.00"), row(2, "2.50"), row(4, "4.50"))
}

func testRestore(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "one", "1.00"))
	before := applied(t, s, b.stream)
	restore := b.Backup(t)
	again := []*change.Batch{
		b.changes(insert(tg.Table, order(2, "two", "2.00"))),
		b.changes(update(tg.Table, order(1, "one", "1.00"), order(1, "uno", "1.00"))),
	}
	for _, batch := range again {
		if err := s.Apply(t.Context(), batch); err != nil { // making the backup may have ended its connection
			apply(t, s, batch)
		}
	}
	restore()
	next := b.changes(insert(tg.Table, order(3, "three", "3.00")))
	err := s.Apply(t.Context(), next)
	if c := sinks.ClassOf(err); err == nil || c == sinks.Stop {
		t.Fatalf("a batch over a destination that went back: %v, want an error to try again after", err)
	}
	b.want(t, tg, order(1, "one", "1.00"))
	s = b.open(t, Options{}, tg)
	if got := applied(t, s, b.stream); got != before {
		t.Fatalf("applied %s after the restore, want %s", got, before)
	}
	apply(t, s, append(again, next)...)
	b.want(t, tg, order(1, "uno", "1.00"), order(2, "two", "2.00"), order(3, "three", "3.00"))
}
