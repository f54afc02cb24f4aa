package sinktest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func testPoison(t *testing.T, b *bench) {
	const n = 300
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(7, "before", "7.00"), order(8, "before", "8.00"))
	b.Refuse(t, tg, "Name", "poison")
	told, quarantined := 0, 0
	o := Options{Observer: sinks.Observer{
		Applied:     func(_ string, _ change.Op, n int) { told += n },
		Quarantined: func(_ string, n int) { quarantined += n },
	}}
	s := b.open(t, o, tg)

	var events []change.Event
	var want []change.Row
	for i := range int64(n) {
		row := order(i, fmt.Sprintf("name %d", i), "1.00")
		switch i {
		case 7, 100: // the destination refuses it
			row[1] = change.StringValue("poison")
		case 8, 200: // it was not transmitted
			row[1] = change.AbsentValue()
		}
		events = append(events, insert(tg.Table, row))
		if i != 7 && i != 8 && i != 100 && i != 200 {
			want = append(want, row)
		}
	}
	// Poison that is mended within the batch is none.
	events = append(events, update(tg.Table, order(50, "", "1.00"), order(50, "poison", "1.00")), update(tg.Table, order(50, "poison", "1.00"), order(50, "mended", "1.00")))
	want[50-2] = order(50, "mended", "1.00")
	batch := b.changes(events...)
	apply(t, s, batch)
	b.want(t, tg, append(want, order(7, "before", "7.00"), order(8, "before", "8.00"))...)
	at := func(key string) Quarantined { return Quarantined{Table: tg.From, Key: key, Seq: batch.To} }
	b.quarantined(t, at("[100]"), at("[200]"), at("[7]"), at("[8]"))
	if quarantined != 4 || told != batch.Rows-4 {
		t.Errorf("the observer was told of %d events applied and %d keys quarantined, want %d and 4", told, quarantined, batch.Rows-4)
	}
	apply(t, s, batch) // again: nothing changes
	b.quarantined(t, at("[100]"), at("[200]"), at("[7]"), at("[8]"))

	// A later good version, a deletion and a key that moves away clear the entry.
	s = b.open(t, Options{}, tg)
	apply(t, s, b.changes(
		update(tg.Table, order(7, "poison", "1.00"), order(7, "good", "1.00")),
		remove(tg.Table, order(8, "lost", "1.00")),
		update(tg.Table, order(100, "poison", "1.00"), order(1000, "moved", "1.00")),
	))
	b.want(t, tg, append(want, order(7, "good", "1.00"), order(1000, "moved", "1.00"))...)
	b.quarantined(t, at("[200]"))
}

func testPoisonCover(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(1, "kept", "1.00"), order(2, "kept", "2.00"), order(3, "goes", "3.00"))
	b.Refuse(t, tg, "Name", "poison")
	s := b.open(t, Options{}, tg)
	// A live chunk: what is refused keeps its old version, though the chunk does not hold it.
	id := b.newID()
	live := []change.Row{order(1, "poison", "1.00"), order(2, "two", "2.00"), {change.IntValue(4), change.AbsentValue(), change.NullValue()}}
	begin := b.begin(id, additive, tg.Table)
	chunk := b.newChunk(id, tg, live...)
	apply(t, s, begin, chunk, b.end(id, tg.Table))
	b.want(t, tg, order(1, "kept", "1.00"), order(2, "two", "2.00"))
	b.quarantined(t, Quarantined{tg.From, "[1]", chunk.To}, Quarantined{tg.From, "[4]", chunk.To})
	// The next chunk over the range tells of each key anew: 4 is gone, 1 is still poison.
	id = b.newID()
	begin = b.begin(id, additive, tg.Table)
	chunk = b.newChunk(id, tg, order(1, "poison", "1.00"), order(2, "two", "2.00"))
	apply(t, s, begin, chunk, b.end(id, tg.Table))
	b.want(t, tg, order(1, "kept", "1.00"), order(2, "two", "2.00"))
	b.quarantined(t, Quarantined{tg.From, "[1]", chunk.To})
	// A heal, too: what is poison in it keeps its old version when it is shown, what is not there goes.
	id = b.newID()
	begin = b.begin(id, heal, tg.Table)
	chunk = b.newChunk(id, tg, order(1, "poison", "1.00"), order(5, "five", "5.00"), change.Row{change.IntValue(6), change.AbsentValue(), change.NullValue()})
	end := b.end(id, tg.Table)
	apply(t, s, begin, chunk, end)
	b.want(t, tg, order(1, "kept", "1.00"), order(5, "five", "5.00"))
	var keys []string
	for _, q := range b.Quarantine(t) {
		if q.Seq < begin.To {
			t.Errorf("entry %v is older than the heal that told of its key", q)
		}
		keys = append(keys, q.Key)
	}
	if got := strings.Join(keys, " "); got != "[1] [6]" {
		t.Fatalf("quarantined after the heal: %s, want [1] [6]", got)
	}
	b.load(t, s, tg, order(5, "five", "5.00"), order(6, "six", "6.00"))
	b.want(t, tg, order(5, "five", "5.00"), order(6, "six", "6.00"))
	b.quarantined(t)
}

// newChunk is a chunk of the whole table.
func (b *bench) newChunk(id string, tg sinks.Target, rows ...change.Row) *change.Batch {
	return b.chunk(id, tg.Table, change.WholeTable(), rows...)
}

func testPoisonOptions(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(1, "before", "1.00"), order(2, "before", "2.00"))
	b.Refuse(t, tg, "Name", "poison")
	s := b.open(t, Options{OnPoison: sinks.StopOnPoison}, tg)
	batch := b.changes(insert(tg.Table, order(1, "poison", "1.00")), insert(tg.Table, order(3, "three", "3.00")))
	err := s.Apply(t.Context(), batch)
	if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "[1]") {
		t.Fatalf("on_poison stop: %v, want a stop that names the key [1]", err)
	}
	b.want(t, tg, order(1, "before", "1.00"), order(2, "before", "2.00"))
	s = b.open(t, Options{OnPoison: sinks.DeleteOnPoison}, tg)
	apply(t, s, batch)
	b.want(t, tg, order(2, "before", "2.00"), order(3, "three", "3.00"))
	b.quarantined(t, Quarantined{tg.From, "[1]", batch.To})
}

// testPoisonInParts: of a batch that is larger than memory, only the last version of a key counts, whatever is refused
// before it.
func testPoisonInParts(t *testing.T, b *bench) {
	tg := target(orders())
	b.loaded(t, Options{}, tg, order(9, "before", "9.00"))
	s := b.open(t, Options{Memory: 8 << 10}, tg)
	lost := func(id int64) change.Row {
		return change.Row{change.IntValue(id), change.AbsentValue(), change.NullValue()}
	}
	events := []change.Event{insert(tg.Table, lost(7)), insert(tg.Table, lost(8)), update(tg.Table, order(9, "before", "9.00"), order(9, "good", "9.00"))}
	var want []change.Row
	for i := range int64(300) {
		want = append(want, order(100+i, strings.Repeat("x", 40), "1.00"))
		events = append(events, insert(tg.Table, want[i]))
	}
	events = append(events, update(tg.Table, lost(7), order(7, "mended", "7.00")), remove(tg.Table, lost(8)), update(tg.Table, order(9, "good", "9.00"), lost(9)))
	batch := b.changes(events...)
	apply(t, s, batch)
	rows := b.Rows(t, tg)
	if len(rows) != len(want)+2 || !rows[0].Row.Equal(order(7, "mended", "7.00")) {
		t.Fatalf("%d rows, the first is %v, want %d and the key 7", len(rows), rows[0].Row, len(want)+2)
	}
	b.quarantined(t, Quarantined{tg.From, "[9]", batch.To})
}
