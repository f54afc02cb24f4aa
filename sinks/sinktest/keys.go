package sinktest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// testAlikeKeys: keys that differ in case, accents or blanks are different rows, written, changed, covered and
// deleted each for itself. Of those that the destination cannot tell apart the later one is poison, and touches
// nothing of the other.
func testAlikeKeys(t *testing.T, b *bench) {
	table := &change.Table{
		ID:      change.TableID{DB: "shop", Name: "alike"},
		Columns: []change.Column{{Name: "word", Type: textType(60)}, {Name: "n", Type: intType}},
		Key:     []int{0},
	}
	row := func(word string, n int64) change.Row { return change.Row{change.StringValue(word), change.IntValue(n)} }
	tg := target(table)
	s := b.loaded(t, Options{}, tg)
	var kept []change.Row
	var refused []Quarantined
	for i, word := range []string{"abc", "ABC", "Abc", "äbc", "a\u0308bc", "abc ", "abc  ", " abc", "abc\t", "ß", "ss", "SS", "ı", "I"} {
		r := row(word, int64(i))
		batch := b.changes(insert(table, r))
		apply(t, s, batch)
		if slices.ContainsFunc(kept, func(k change.Row) bool { return b.Limits.oneKey(k[0], r[0]) }) {
			refused = append(refused, Quarantined{Table: tg.From, Key: `["` + word + `"]`, Seq: batch.To})
		} else {
			kept = append(kept, r)
		}
		b.want(t, tg, kept...)
		b.quarantined(t, refused...)
	}
	var events []change.Event // all of them in one batch
	for i, r := range kept {
		next := row(r[0].Text(), int64(100+i))
		events, kept[i] = append(events, update(table, r, next)), next
	}
	apply(t, s, b.changes(events...))
	b.want(t, tg, kept...)
	for _, q := range refused { // their deletion takes them off the list, and nothing else
		key := q.Key[2 : len(q.Key)-2]
		apply(t, s, b.changes(remove(table, row(key, 0))))
	}
	b.want(t, tg, kept...)
	b.quarantined(t)
	// A range of keys is one of bytes: "ABC" and "Abc" lie in it, "abc" does not.
	lo, hi := change.StringValue("ABC"), change.StringValue("abc")
	id := b.newID()
	apply(t, s, b.begin(id, additive, table), b.chunk(id, table, between(&lo, &hi)), b.end(id, table))
	kept = slices.DeleteFunc(kept, func(r change.Row) bool {
		key := change.KeyOf(r[0])
		return key >= change.KeyOf(lo) && key < change.KeyOf(hi)
	})
	b.want(t, tg, kept...)
	b.load(t, s, tg, kept...)
	b.want(t, tg, kept...)
	for len(kept) > 0 {
		apply(t, s, b.changes(remove(table, kept[0])))
		kept = kept[1:]
		b.want(t, tg, kept...)
	}
}

// testLowerVersion: batches of every kind that come once more, behind those that made what is stored, change
// nothing, whatever their order and whichever process they come to.
func testLowerVersion(t *testing.T, b *bench) {
	sc := newScript(b)
	s := b.open(t, Options{}, sc.targets...)
	apply(t, s, sc.batches...)
	last := applied(t, s, b.stream)
	states := boundaries(t, s, b.stream)
	unchanged := func(what string) {
		t.Helper()
		b.checkShown(t, sc, &killer{}, len(sc.batches))
		if m := applied(t, s, b.stream); m != last {
			t.Fatalf("%s moved the mark from %s to %s", what, last, m)
		}
		if d := cmp.Diff(states, boundaries(t, s, b.stream)); d != "" {
			t.Fatalf("%s changed the states of tables (-want +got):\n%s", what, d)
		}
	}
	unchanged("nothing")
	var versions []map[change.Key]string
	for _, tg := range sc.targets {
		versions = append(versions, b.versions(t, tg))
	}
	apply(t, s, sc.batches...)
	unchanged("every batch once more")
	s = b.open(t, Options{}, sc.targets...)
	for _, batch := range slices.Backward(sc.batches) {
		apply(t, s, batch)
	}
	unchanged("every batch backwards, to a new process,")
	for i, tg := range sc.targets {
		if d := cmp.Diff(versions[i], b.versions(t, tg)); d != "" {
			t.Errorf("rows of %s were written again:\n%s", tg.To, d)
		}
	}
}
