package sinktest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func testEmptyBatch(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.open(t, Options{}, tg)
	if m := applied(t, s, b.stream); !m.IsZero() {
		t.Fatalf("a destination that has nothing is at %s", m)
	}
	b.load(t, s, tg)
	for _, batch := range []*change.Batch{b.changes(), b.idle(), b.idle(), b.batch(change.Schema, nil, []*change.Table{tg.Table}, nil), b.changes()} {
		apply(t, s, batch)
		if got := applied(t, s, b.stream); got != batch.Mark {
			t.Fatalf("after %s: applied %s, want %s", batch.Kind, got, batch.Mark)
		}
	}
	b.want(t, tg)
}

func testSameKey(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(1, "one", "1.00"))
	counts := map[change.Op]int{}
	o := Options{Observer: sinks.Observer{Applied: func(_ string, op change.Op, n int) { counts[op] += n }}}
	s := b.open(t, o, tg)
	r := func(name string) change.Row { return order(2, name, "2.00") }
	apply(t, s, b.changes(
		insert(tg.Table, r("a")), update(tg.Table, r("a"), r("b")), update(tg.Table, r("b"), r("c")),
		update(tg.Table, order(1, "one", "1.00"), order(1, "uno", "1.00")), remove(tg.Table, order(1, "uno", "1.00")),
	))
	b.want(t, tg, r("c"))
	if d := cmp.Diff(map[change.Op]int{change.Insert: 1, change.Update: 3, change.Delete: 1}, counts); d != "" {
		t.Fatalf("events applied (-want +got):\n%s", d)
	}
}

func testDeleteInsert(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg, order(1, "old", "1.00"), order(2, "stays", "2.00"))
	apply(t, s, b.changes(remove(tg.Table, order(1, "old", "1.00")), insert(tg.Table, order(1, "new", "9.00"))))
	b.want(t, tg, order(1, "new", "9.00"), order(2, "stays", "2.00"))
	apply(t, s, b.changes(remove(tg.Table, order(1, "new", "9.00")), insert(tg.Table, order(1, "newer", "9.00")), remove(tg.Table, order(1, "newer", "9.00"))))
	b.want(t, tg, order(2, "stays", "2.00"))
}

func testKeyChange(t *testing.T, b *bench) {
	tg, wg := target(orders()), target(words())
	s := b.open(t, Options{}, tg, wg)
	b.load(t, s, tg, order(1, "a", "1.00"), order(2, "b", "2.00"))
	b.load(t, s, wg, word("abc"), word("x "))
	// 1 and 2 change places through a third key; abc and ABC are two keys, so are "x" and "x ", or the later one is poison.
	batch := b.changes(
		update(tg.Table, order(1, "a", "1.00"), order(3, "a", "1.00")),
		update(tg.Table, order(2, "b", "2.00"), order(1, "b", "2.00")),
		update(tg.Table, order(3, "a", "1.00"), order(2, "a", "1.00")),
		update(wg.Table, word("abc"), word("ABC")),
		insert(wg.Table, word("x")),
	)
	apply(t, s, batch)
	b.want(t, tg, order(1, "b", "2.00"), order(2, "a", "1.00"))
	if !b.Limits.oneKey(word("x")[0], word("x ")[0]) {
		b.want(t, wg, word("ABC"), word("x"), word("x "))
		b.quarantined(t)
		return
	}
	b.want(t, wg, word("ABC"), word("x "))
	b.quarantined(t, Quarantined{Table: wg.From, Key: `["x"]`, Seq: batch.To})
	// The deletion of the one does not touch the other; once that is gone, there is room.
	apply(t, s, b.changes(remove(wg.Table, word("x"))))
	b.want(t, wg, word("ABC"), word("x "))
	b.quarantined(t)
	apply(t, s, b.changes(remove(wg.Table, word("x ")), insert(wg.Table, word("x"))))
	b.want(t, wg, word("ABC"), word("x"))
}

func testOlderBatch(t *testing.T, b *bench) {
	tg := target(orders())
	s := b.loaded(t, Options{}, tg)
	first := b.changes(insert(tg.Table, order(1, "first", "1.00")))
	second := b.changes(update(tg.Table, order(1, "first", "1.00"), order(1, "second", "2.00")))
	apply(t, s, first, second)
	want := applied(t, s, b.stream)
	versions := b.versions(t, tg)
	apply(t, s, second, first, second)
	s = b.open(t, Options{}, tg)
	apply(t, s, first, second)
	b.want(t, tg, order(1, "second", "2.00"))
	if got := applied(t, s, b.stream); got != want {
		t.Fatalf("applied moved from %s to %s by batches that were applied before", want, got)
	}
	if d := cmp.Diff(versions, b.versions(t, tg)); d != "" {
		t.Fatalf("rows were written again:\n%s", d)
	}
	made := *newFeed(b.stream)
	made.mark.Incarnation++
	err := s.Apply(t.Context(), made.changes(insert(tg.Table, order(9, "", "1.00"))))
	if sinks.ClassOf(err) != sinks.Stop {
		t.Fatalf("a new incarnation with lower numbers: %v, want a stop", err)
	}
}

func testTwoWriters(t *testing.T, b *bench) {
	tg := target(orders())
	older := b.loaded(t, Options{}, tg, order(1, "one", "1.00"))
	before := applied(t, older, b.stream)
	newer := b.open(t, Options{}, tg)
	batch := b.changes(insert(tg.Table, order(2, "two", "2.00")))
	if err := older.Apply(t.Context(), batch); !errors.Is(err, sinks.ErrFenced) {
		t.Fatalf("the older writer: %v, want ErrFenced", err)
	}
	if m := applied(t, newer, b.stream); m != before {
		t.Fatalf("the fenced writer moved the mark from %s to %s", before, m)
	}
	b.want(t, tg, order(1, "one", "1.00"))
	apply(t, newer, batch)
	if err := older.Apply(t.Context(), b.changes(remove(tg.Table, order(1, "one", "1.00")))); !errors.Is(err, sinks.ErrFenced) {
		t.Fatalf("the older writer again: %v, want ErrFenced", err)
	}
	b.want(t, tg, order(1, "one", "1.00"), order(2, "two", "2.00"))
}

func testNullKey(t *testing.T, b *bench) {
	tg := target(pairs())
	five := int64(5)
	s := b.loaded(t, Options{}, tg, pair(1, nil, "none"))
	apply(t, s, b.changes(remove(tg.Table, pair(1, nil, "none")), insert(tg.Table, pair(1, &five, "five"))))
	b.want(t, tg, pair(1, &five, "five"))
	apply(t, s, b.changes(update(tg.Table, pair(1, &five, "five"), pair(1, nil, "none again"))))
	b.want(t, tg, pair(1, nil, "none again"))
	apply(t, s, b.changes(update(tg.Table, pair(1, nil, "none again"), pair(1, nil, "third")), insert(tg.Table, pair(2, nil, "two"))))
	b.want(t, tg, pair(1, nil, "third"), pair(2, nil, "two"))
	before := b.versions(t, tg)
	apply(t, s, b.changes(insert(tg.Table, pair(2, nil, "two"))))
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" && !b.Limits.Rewrites {
		t.Fatalf("an identical row was written again:\n%s", d)
	}
	// A heal compares NULL with NULL as well.
	b.load(t, s, tg, pair(1, nil, "third"), pair(3, nil, "three"))
	b.want(t, tg, pair(1, nil, "third"), pair(3, nil, "three"))
	k := change.KeyOf(change.IntValue(1), change.NullValue())
	if got := b.versions(t, tg)[k]; got != before[k] {
		t.Fatalf("the heal wrote (1, NULL) again: version %s, before %s", got, before[k])
	}
}

func testSwapUnique(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(1, "a", "1.00"), order(2, "b", "2.00"), order(3, "c", "3.00"))
	if !b.Limits.NoUnique {
		b.Unique(t, tg, "Name")
	}
	s := b.open(t, Options{}, tg)
	apply(t, s, b.changes(
		update(tg.Table, order(1, "a", "1.00"), order(1, "tmp", "1.00")),
		update(tg.Table, order(2, "b", "2.00"), order(2, "a", "2.00")),
		update(tg.Table, order(1, "tmp", "1.00"), order(1, "b", "1.00")),
	))
	b.want(t, tg, order(1, "b", "1.00"), order(2, "a", "2.00"), order(3, "c", "3.00"))
	id := b.newID() // the same by a live chunk, and by a heal
	apply(t, s, b.begin(id, additive, tg.Table), b.chunk(id, tg.Table, change.WholeTable(), order(1, "c", "1.00"), order(2, "a", "2.00"), order(3, "b", "3.00")), b.end(id, tg.Table))
	b.want(t, tg, order(1, "c", "1.00"), order(2, "a", "2.00"), order(3, "b", "3.00"))
	b.load(t, s, tg, order(1, "a", "1.00"), order(2, "b", "2.00"), order(3, "c", "3.00"))
	b.want(t, tg, order(1, "a", "1.00"), order(2, "b", "2.00"), order(3, "c", "3.00"))
	b.quarantined(t)
}

func testNotEmpty(t *testing.T, b *bench) {
	tg := target(orders())
	b.Plant(t, tg, order(-5, "phantom below", "0.00"), order(1, "right", "1.00"), order(2, "wrong", "2.00"), order(50, "phantom", "5.00"), order(900, "phantom above", "9.00"))
	before := b.versions(t, tg)
	s := b.openOnly(t, Options{})
	err := s.Prepare(t.Context(), b.stream, []sinks.Target{tg})
	if sinks.ClassOf(err) != sinks.Stop {
		t.Fatalf("prepare over a foreign table: %v, want a stop", err)
	}
	for _, w := range []string{tg.To, "adopt: true"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the refusal does not say %q: %v", w, err)
		}
	}
	tg.Adopt = true
	s = b.open(t, Options{}, tg)
	if st := boundaries(t, s, b.stream)[tg.From]; st.Phase != sinks.Waiting {
		t.Fatalf("an adopted table is %s, want waiting", st.Phase)
	}
	id := b.newID()
	lo, hi := change.IntValue(10), change.IntValue(100)
	apply(t, s, b.begin(id, heal, tg.Table),
		b.chunk(id, tg.Table, between(nil, &lo), order(1, "right", "1.00"), order(2, "mended", "2.00")),
		b.chunk(id, tg.Table, between(&lo, &hi), order(11, "missing", "3.00")),
		b.chunk(id, tg.Table, between(&hi, nil)))
	if d := cmp.Diff(before, b.versions(t, tg)); d != "" {
		t.Fatalf("an adopted table was touched before the end of its cover:\n%s", d)
	}
	apply(t, s, b.end(id, tg.Table))
	b.want(t, tg, order(1, "right", "1.00"), order(2, "mended", "2.00"), order(11, "missing", "3.00"))
	k := change.KeyOf(change.IntValue(1))
	if got := b.versions(t, tg)[k]; got != before[k] {
		t.Errorf("a row that was right was written: version %s, before %s", got, before[k])
	}
	tg.Adopt = false // ours now
	b.open(t, Options{}, tg)
}

func testManyRows(t *testing.T, b *bench) {
	const n = 100_000
	tg := target(orders())
	s := b.loaded(t, Options{}, tg)
	rows := make([]change.Row, n)
	events := make([]change.Event, n)
	for i := range rows {
		rows[i] = order(int64(i), fmt.Sprintf("name %d", i), fmt.Sprintf("%d.%02d", i, i%100))
		events[i] = insert(tg.Table, rows[i])
	}
	apply(t, s, b.changes(events...))
	b.want(t, tg, rows...)
	events = nil
	var left []change.Row
	for i, r := range rows {
		switch i % 3 {
		case 0:
			events = append(events, remove(tg.Table, r))
		case 1:
			next := order(int64(i), "changed", "1.00")
			events, left = append(events, update(tg.Table, r, next)), append(left, next)
		default:
			left = append(left, r)
		}
	}
	apply(t, s, b.changes(events...))
	b.want(t, tg, left...)
}

func testLargerThanMemory(t *testing.T, b *bench) {
	tg, pg := target(orders()), target(pairs())
	const memory = 64 << 10 // bytes; the batch holds some megabytes
	s := b.open(t, Options{Memory: memory}, tg, pg)
	b.load(t, s, tg, order(1, "old", "1.00"), order(7, "old", "1.00"))
	b.load(t, s, pg, pair(3, nil, "old"))
	var events []change.Event
	last := map[int64]change.Row{}
	lastPair := map[int64]change.Row{}
	for i := range int64(12_000) {
		key := i * 7 % 1000
		row := order(key, fmt.Sprintf("version %d", i), "1.00")
		switch was, ok := last[key]; {
		case i%5 == 0 && ok:
			events = append(events, remove(tg.Table, was))
			delete(last, key)
		default:
			events = append(events, insert(tg.Table, row))
			last[key] = row
		}
		p := pair(key%50, nil, fmt.Sprintf("version %d", i))
		events = append(events, insert(pg.Table, p))
		lastPair[key%50] = p
	}
	apply(t, s, b.changes(events...))
	var want, wantPairs []change.Row
	for _, r := range last {
		want = append(want, r)
	}
	for _, r := range lastPair {
		wantPairs = append(wantPairs, r)
	}
	b.want(t, tg, want...)
	b.want(t, pg, wantPairs...)
}
