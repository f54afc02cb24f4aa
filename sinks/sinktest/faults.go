package sinktest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

var errCrash = errors.New("crash")

// script is a history that passes through every kind of batch, and what each leaves in the tables.
type script struct {
	targets []sinks.Target
	batches []*change.Batch
	// shown[i] are the rows of each target after batches[:i].
	shown [][][]change.Row
}

func newScript(b *bench) script {
	tg, pg := target(orders()), target(pairs())
	s := script{targets: []sinks.Target{tg, pg}, shown: [][][]change.Row{{nil, nil}}}
	var o, p []change.Row
	add := func(batch *change.Batch) {
		s.batches = append(s.batches, batch)
		s.shown = append(s.shown, [][]change.Row{o, p})
	}
	one := int64(1)
	id := b.newID()
	add(b.begin(id, heal, tg.Table, pg.Table))
	add(b.chunk(id, tg.Table, change.WholeTable(), order(1, "one", "1.00"), order(2, "two", "2.00")))
	add(b.changes(insert(pg.Table, pair(1, &one, "gone")), insert(tg.Table, order(3, "three", "3.00"))))
	add(b.chunk(id, pg.Table, change.WholeTable(), pair(1, nil, "null")))
	o, p = []change.Row{order(1, "one", "1.00"), order(2, "two", "2.00"), order(3, "three", "3.00")}, []change.Row{pair(1, nil, "null")}
	add(b.end(id, tg.Table, pg.Table))
	o, p = []change.Row{order(2, "two", "2.00"), order(3, "drei", "3.00")}, []change.Row{pair(1, &one, "one")}
	add(b.changes(remove(tg.Table, order(1, "one", "1.00")), update(tg.Table, order(3, "three", "3.00"), order(3, "drei", "3.00")),
		update(pg.Table, pair(1, nil, "null"), pair(1, &one, "one"))))
	add(b.changes())
	id = b.newID()
	add(b.begin(id, additive, tg.Table))
	o = []change.Row{order(2, "zwei", "2.00"), order(4, "vier", "4.00")}
	add(b.chunk(id, tg.Table, change.WholeTable(), o...))
	add(b.end(id, tg.Table))
	id = b.newID()
	add(b.begin(id, heal, tg.Table))
	p = []change.Row{pair(1, &one, "while the other is held")}
	add(b.changes(update(pg.Table, pair(1, &one, "one"), p[0]), insert(tg.Table, order(9, "staged", "9.00"))))
	add(b.chunk(id, tg.Table, ints(-9, 9), order(2, "zwei", "2.00")))
	void := b.newID()
	add(b.begin(void, heal, tg.Table))
	add(b.chunk(void, tg.Table, change.WholeTable(), order(2, "zwei", "2.00"), order(8, "acht", "8.00")))
	add(b.end(id, tg.Table))
	o = []change.Row{order(2, "zwei", "2.00"), order(8, "acht", "8.00")}
	add(b.end(void, tg.Table))
	for _, rows := range s.shown {
		for i, tg := range s.targets {
			sortRows(tg.Table, rows[i])
		}
	}
	return s
}

// testKilledEverywhere runs the script with crashes: each batch is tried with a crash at its first effect,
// then, by a new process, at its second, and so on until it gets through. After each crash the tables show
// what they showed before or after the batch, and Applied says which.
func testKilledEverywhere(t *testing.T, b *bench) {
	const limit = 500 // effects of one batch
	sc := newScript(b)
	k := &killer{steps: map[string]bool{}}
	b.killStarts(t, sc, k)
	s := b.reopen(t, sc, k)
	for done := 0; done < len(sc.batches); {
		for k.at = 1; k.at < limit; k.at++ {
			k.count = 0
			err := s.Apply(t.Context(), sc.batches[done])
			if k.count < k.at { // no crash: it got through
				if err != nil {
					t.Fatalf("apply %s %d: %v", sc.batches[done].Kind, done, err)
				}
				done++
				b.checkShown(t, sc, k, done)
				break
			}
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("apply %s %d, crash at effect %d: %v", sc.batches[done].Kind, done, k.at, err)
			}
			b.checkMoment(t, sc, k, done)
			closeSink(t, s)
			s = b.reopen(t, sc, k)
			now := sc.index(t, applied(t, s, b.stream))
			if now == done && b.Limits.Moments {
				b.checkBetween(t, sc, k, now)
			} else {
				b.checkShown(t, sc, k, now)
			}
			if now == done+1 { // it was committed before the crash
				done = now
				break
			}
			if now != done {
				t.Fatalf("crash at effect %d of batch %d: applied says %d batches", k.at, done, now)
			}
		}
	}
	closeSink(t, s)
	t.Logf("%d crashes at %d kinds of effects", k.crashes, len(k.steps))
}

// testLostEverywhere is the same with the connection lost at each effect; the process lives and tries again.
func testLostEverywhere(t *testing.T, b *bench) {
	b.loseEverywhere(t, func(lose func(step string)) Options {
		return Options{Hook: func(step string) error { lose(step); return nil }}
	})
}

// testLostStatements is the same with the connection lost as each statement is sent, those that only ask too.
func testLostStatements(t *testing.T, b *bench) {
	b.loseEverywhere(t, func(lose func(step string)) Options {
		return Options{Observer: sinks.Observer{Statement: func() { lose("a statement") }}}
	})
}

// loseEverywhere runs the script with the connection lost wherever the options call lose.
func (b *bench) loseEverywhere(t *testing.T, options func(lose func(step string)) Options) {
	t.Helper()
	sc := newScript(b)
	k := &killer{steps: map[string]bool{}}
	s := b.openOnly(t, options(func(step string) {
		if k.hook(step) != nil {
			b.Cut(t)
		}
	}))
	if err := s.Prepare(t.Context(), b.stream, sc.targets); err != nil {
		t.Fatal(err)
	}
	for done, batch := range sc.batches {
		for k.at = 1; ; k.at += 2 {
			k.count = 0
			err := s.Apply(t.Context(), batch)
			if err == nil {
				break
			}
			if c := sinks.ClassOf(err); c != sinks.Retry {
				t.Fatalf("apply %s %d, connection lost at %d: %v is of class %s", batch.Kind, done, k.at, err, c)
			}
			if k.count < k.at {
				k.at -= 2 // lost by the time before
			}
		}
		k.at = 0
		b.checkShown(t, sc, k, done+1)
	}
	t.Logf("%d connections lost at %d kinds of effects", k.crashes, len(k.steps))
}

// killer is the hook of a process that dies at its at-th effect.
type killer struct {
	at, count, crashes int
	steps              map[string]bool
}

func (k *killer) hook(step string) error {
	if k.count++; k.count == k.at {
		k.steps[step] = true
		k.crashes++
		return fmt.Errorf("%w %s", errCrash, step)
	}
	return nil
}

// reopen makes a new process; its start does not crash.
func (b *bench) reopen(t *testing.T, sc script, k *killer) sinks.Sink {
	t.Helper()
	at := k.at
	defer func() { k.at, k.count = at, 0 }()
	k.at = 0
	s := b.openOnly(t, Options{Hook: k.hook})
	if err := s.Prepare(t.Context(), b.stream, sc.targets); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	return s
}

// killStarts has processes die at each effect of their start in turn, before one gets through.
func (b *bench) killStarts(t *testing.T, sc script, k *killer) {
	t.Helper()
	for k.at = 1; ; k.at++ {
		k.count = 0
		s := b.openOnly(t, Options{Hook: k.hook})
		err := s.Prepare(t.Context(), b.stream, sc.targets)
		closeSink(t, s)
		if err == nil {
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatalf("prepare, crash at effect %d: %v", k.at, err)
		}
	}
}

func (sc script) index(t *testing.T, m change.Mark) int {
	t.Helper()
	if m.IsZero() {
		return 0
	}
	for i, b := range sc.batches {
		if b.Mark == m {
			return i + 1
		}
	}
	t.Fatalf("applied says %s, which is no batch of the script", m)
	return 0
}

func (b *bench) checkShown(t *testing.T, sc script, k *killer, done int) {
	t.Helper()
	for i, tg := range sc.targets {
		var got []change.Row
		for _, r := range b.Rows(t, tg) {
			got = append(got, r.Row)
		}
		if d := cmp.Diff(sc.shown[done][i], got, compareRows); d != "" {
			t.Fatalf("crash %d: %s after %d batches (-want +got):\n%s", k.crashes, tg.To, done, d)
		}
	}
}

// checkMoment looks at the tables after a crash, before anything mends it: they show what they showed before
// the batch or after it, all of them the one or all of them the other.
func (b *bench) checkMoment(t *testing.T, sc script, k *killer, done int) {
	t.Helper()
	before, after := sc.shown[done], sc.shown[done+1]
	isBefore, isAfter := true, true
	for i, tg := range sc.targets {
		var got []change.Row
		for _, r := range b.Rows(t, tg) {
			got = append(got, r.Row)
			known := func(o change.Row) bool { return o.Equal(r.Row) }
			if !slices.ContainsFunc(before[i], known) && !slices.ContainsFunc(after[i], known) {
				t.Fatalf("crash %d: %s shows %v, which is of neither before nor after batch %d", k.crashes, tg.To, r.Row, done)
			}
		}
		isBefore = isBefore && slices.EqualFunc(before[i], got, change.Row.Equal)
		isAfter = isAfter && slices.EqualFunc(after[i], got, change.Row.Equal)
	}
	if !isBefore && !isAfter && !b.Limits.Moments {
		t.Fatalf("crash %d: the tables show neither what was before batch %d nor what is after it", k.crashes, done)
	}
}

// checkBetween checks that each key shows what it shows before the batch that was cut off, or after it.
func (b *bench) checkBetween(t *testing.T, sc script, k *killer, done int) {
	t.Helper()
	for i, tg := range sc.targets {
		states := make([]map[change.Key]change.Row, 3) // before, after, now
		for j, rows := range [][]change.Row{sc.shown[done][i], sc.shown[done+1][i], nil} {
			if j == 2 {
				for _, r := range b.Rows(t, tg) {
					rows = append(rows, r.Row)
				}
			}
			states[j] = map[change.Key]change.Row{}
			for _, r := range rows {
				key, err := tg.Table.RowKey(r)
				if err != nil {
					t.Fatal(err)
				}
				states[j][key] = r
			}
		}
		for _, m := range states {
			for key := range m {
				before, after, now := states[0][key], states[1][key], states[2][key]
				if !now.Equal(before) && !now.Equal(after) {
					t.Fatalf("crash %d: %s after %d batches shows %v of key %x, neither %v nor %v", k.crashes, tg.To, done, now, string(key), before, after)
				}
			}
		}
	}
}

func closeSink(t testing.TB, s sinks.Sink) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// testRandom drives random histories with covers, restarts and crashes, and compares with a source that
// applies them to a map.
func testRandom(t *testing.T, b *bench) {
	const histories, length = 8, 60
	for h := range uint64(histories) {
		rb := &bench{Destination: b.Destination, feed: newFeed(fmt.Sprintf("random-%d", h))}
		tg := target(pairs())
		tg.To = fmt.Sprintf("random %d", h)
		tg.Soft = h%3 == 2
		r := &randomHistory{bench: rb, t: t, rng: rand.New(rand.NewPCG(h, 1)), tg: tg, source: map[change.Key]change.Row{}}
		r.run(length)
	}
}

type randomHistory struct {
	*bench
	t      *testing.T
	rng    *rand.Rand
	tg     sinks.Target
	source map[change.Key]change.Row
	// shown is what the destination must show: the source as it was when the table last followed it.
	shown  map[change.Key]change.Row
	cover  string // that is running
	staged bool
	next   int64 // the first key column from which on the cover has not been read
	sink   sinks.Sink
	fail   int // effects until the next crash
}

func (r *randomHistory) run(length int) {
	r.restart()
	r.beginCover(heal)
	for range length {
		switch n := r.rng.IntN(10); {
		case n < 6:
			r.do(r.changes(r.someEvents()...))
		case r.cover == "" && n == 6:
			r.beginCover([]coverKind{heal, additive}[r.rng.IntN(2)])
		case r.cover != "" && n < 9:
			r.advanceCover()
		case n == 9:
			r.restart()
		}
		r.check()
	}
	for r.cover != "" {
		r.advanceCover()
		r.check()
	}
}

func (r *randomHistory) hook(step string) error {
	if r.fail--; r.fail == 0 {
		return fmt.Errorf("%w %s", errCrash, step)
	}
	return nil
}

func (r *randomHistory) restart() {
	r.fail = 1 + r.rng.IntN(150)
	for {
		if r.sink != nil {
			closeSink(r.t, r.sink)
		}
		r.sink = r.openOnly(r.t, Options{Hook: r.hook, Memory: 1 + r.rng.IntN(4)*400})
		err := r.sink.Prepare(r.t.Context(), r.stream, []sinks.Target{r.tg})
		if err == nil {
			return
		}
		if !errors.Is(err, errCrash) {
			r.t.Fatalf("prepare: %v", err)
		}
	}
}

// do applies a batch, by a new process whenever one dies.
func (r *randomHistory) do(b *change.Batch) {
	for {
		err := r.sink.Apply(r.t.Context(), b)
		if err == nil {
			break
		}
		if !errors.Is(err, errCrash) {
			r.t.Fatalf("apply %s %d: %v", b.Kind, b.To, err)
		}
		r.restart()
	}
	if !r.staged {
		r.shown = maps.Clone(r.source)
	}
}

func (r *randomHistory) beginCover(kind coverKind) {
	r.cover, r.next = r.newID(), -1
	begin := r.begin(r.cover, kind, r.tg.Table)
	r.staged = r.staged || begin.Cover.Heal
	r.do(begin)
}

// advanceCover emits the next chunk with the source's content of now, or the end.
func (r *randomHistory) advanceCover() {
	const last = 6
	if r.next >= last {
		id := r.cover
		r.cover, r.staged = "", false
		r.do(r.end(id, r.tg.Table))
		return
	}
	hi := r.next + 1 + r.rng.Int64N(3)
	rg := ints(r.next, hi)
	rg.HasLo, rg.HasHi = r.next >= 0, hi < last
	r.next = hi
	var rows []change.Row
	for k, row := range r.source {
		if rg.Contains(k) {
			rows = append(rows, row)
		}
	}
	r.do(r.chunk(r.cover, r.tg.Table, rg, rows...))
}

// someEvents changes the source and returns what it logged.
func (r *randomHistory) someEvents() []change.Event {
	var events []change.Event
	for range r.rng.IntN(8) {
		row := pair(r.rng.Int64N(6), nil, fmt.Sprintf("%d", r.rng.IntN(4)))
		if r.rng.IntN(3) > 0 {
			row[2] = change.IntValue(r.rng.Int64N(3))
		}
		key, err := r.tg.Table.RowKey(row)
		if err != nil {
			r.t.Fatal(err)
		}
		old, there := r.source[key]
		switch n := r.rng.IntN(3); {
		case there && n == 0:
			events = append(events, remove(r.tg.Table, old))
			delete(r.source, key)
		case !there && n == 1 && len(r.source) > 0:
			first := slices.Min(slices.Collect(maps.Keys(r.source))) // a row moves to this key
			events = append(events, update(r.tg.Table, r.source[first], row))
			delete(r.source, first)
			r.source[key] = row
		case there:
			events = append(events, update(r.tg.Table, old, row))
			r.source[key] = row
		default:
			events = append(events, insert(r.tg.Table, row))
			r.source[key] = row
		}
	}
	return events
}

func (r *randomHistory) check() {
	r.t.Helper()
	rows := []change.Row{}
	for _, row := range r.shown {
		rows = append(rows, row)
	}
	r.want(r.t, r.tg, rows...)
}
