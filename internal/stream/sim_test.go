package stream_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/memlog"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// sim drives real Writers and Readers over a broker in memory, one broker call at a time, with crashes,
// fencing, power cuts and trimming in between. One seed is one history.
//
// Each batch carries a nonce: in its progress record, and in each of its rows; and the hash of all nonces
// since its begin. So a reader can tell whether what it got is that batch, whole, on top of what it had.
type sim struct {
	t     *testing.T
	r     *rand.Rand
	rules stream.Rules
	b     *memlog.Broker
	tick  int
	ids   int
	asked bool       // a reader waits for a begin
	floor change.Seq // and holds this
	quiet bool
	rows  map[string]int // nonce -> rows
	bad   string

	writers [2]*actor
	reader  *actor
	durable position    // of the reader
	head    change.Mark // of the writer that committed last
	reads   int
	gone    int
}

// position is what a destination keeps: a Mark, and the hash of what was applied.
type position struct {
	mark change.Mark
	hash string
}

// actor is a process: it runs until it calls the broker, then waits for its turn.
type actor struct {
	name   string
	turn   chan error // an error crashes it
	parked chan bool  // false: it has ended
	alive  bool
}

var errCrash = errors.New("crash")

type actorKey struct{}

func (s *sim) start(a *actor, name string, run func(ctx context.Context) error) {
	*a = actor{name: name, turn: make(chan error), parked: make(chan bool), alive: true}
	ctx := context.WithValue(s.t.Context(), actorKey{}, a)
	go func() {
		if err := <-a.turn; err == nil {
			if err := run(ctx); err != nil && !errors.Is(err, errCrash) && !errors.Is(err, stream.ErrFenced) {
				s.fail("%s ended: %v", name, err)
			}
		}
		a.parked <- false
	}()
}

// step gives an actor its turn, up to its next broker call.
func (s *sim) step(a *actor, err error) {
	a.turn <- err
	a.alive = <-a.parked
}

// call is the broker's hook: the actor waits here.
func (s *sim) call(ctx context.Context, _ string) error {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return nil
	}
	a.parked <- true
	return <-a.turn
}

func (s *sim) fail(format string, args ...any) {
	if s.bad == "" {
		s.bad = fmt.Sprintf("step %d: ", s.tick) + fmt.Sprintf(format, args...)
	}
}

func (s *sim) id() string { s.ids++; return strconv.Itoa(s.ids) }

func chain(hash, nonce string) string {
	h := fnv.New64a()
	h.Write([]byte(hash + "/" + nonce))
	return strconv.FormatUint(h.Sum64(), 36)
}

func (s *sim) now() time.Time { return time.UnixMicro(int64(1_000_000 + s.tick*1000)) }

// write is a writer process: start, then batch after batch; every error but fencing leads to the start.
func (s *sim) write(ctx context.Context, process string) error {
	cfg := stream.WriterConfig{Stream: "s", Process: process, Now: s.now, NewID: s.id, RewriteEvery: 40, Rules: s.rules}
	w := stream.NewWriter(cfg, s.b.Producer(s.rules.TransactionalID("t", process)), s.b)
	for {
		st, err := w.Start(ctx)
		if errors.Is(err, errCrash) || errors.Is(err, stream.ErrFenced) {
			return err
		}
		if err == nil && !st.Fresh && st.Meta.Tables["a"].From != st.Seq() {
			s.fail("the newest record ends at seq %d, meta at %d", st.Seq(), st.Meta.Tables["a"].From)
		}
		for err == nil {
			if s.quiet && !s.asked && !st.Fresh && s.r.IntN(50) > 0 {
				err = s.call(ctx, "idle") // but for a heartbeat
				continue
			}
			err = s.batch(ctx, w)
		}
		if errors.Is(err, errCrash) {
			return err
		}
	}
}

func (s *sim) batch(ctx context.Context, w *stream.Writer) error {
	st := w.State()
	p := wire.Progress{Kind: change.Changes, SeqFrom: st.Seq() + 1}
	p.SeqTo = p.SeqFrom + change.Seq(s.r.IntN(3))
	rows, nonce, hash := s.r.IntN(9), "n"+s.id(), ""
	if st.Newest != nil {
		hash = st.Newest.Position.File
	}
	answers := s.asked && s.r.IntN(4) == 0
	if st.Fresh || answers {
		p.Kind, rows, hash = change.Begin, 0, ""
		if s.r.IntN(2) == 0 { // else it is another's begin
			p.SeqFrom = max(p.SeqFrom, s.floor+1)
		}
		p.SeqTo = p.SeqFrom
		p.Cover = &change.Cover{ID: nonce, Heal: true, Tables: []string{"a", "b"}}
		if s.r.IntN(4) == 0 {
			p.Cover.Tables = []string{"a"}
		}
	}
	p.Position = change.Position{GTID: nonce, File: chain(hash, nonce)}
	s.rows[nonce] = rows
	if err := w.Begin(ctx); err != nil {
		return err
	}
	for i := range rows {
		seq := p.SeqFrom + change.Seq(i)*change.Seq(p.SeqTo-p.SeqFrom+1)/change.Seq(rows)
		topic := [2]string{"s.a", "s.b"}[i%2]
		if err := w.Append(ctx, stream.Row{Topic: topic, Key: []byte{byte('0' + s.r.IntN(5))}, Value: []byte(nonce), Seq: seq, Idx: uint64(i)}); err != nil {
			return err
		}
	}
	ledger, err := wire.EncodeMeta(wire.MetaTablePrefix+"a", &wire.TableVersion{V: wire.MetaVersion, From: p.SeqTo})
	if err != nil {
		return err
	}
	m, err := w.Commit(ctx, p, []wire.MetaRecord{ledger})
	if err == nil {
		s.head = m
	}
	return err
}

// read is a reader process: from its durable Mark on, or from a begin that it asks for.
func (s *sim) read(ctx context.Context) error {
	at := s.durable
	cfg := stream.ReaderConfig{Stream: "s", Name: "sink", Now: s.now, ReadAhead: 3, Rules: s.rules}
	r := stream.NewReader(cfg, s.b, at.mark)
	for {
		rec, err := r.Next(ctx)
		if err == nil {
			err = s.apply(ctx, rec, &at)
		}
		if errors.Is(err, stream.ErrGone) {
			s.gone++
			err = s.ask(ctx, r)
			at.hash = ""
		}
		if err != nil {
			return err
		}
	}
}

func (s *sim) ask(ctx context.Context, r *stream.Reader) error {
	since, err := r.EndOffset(ctx)
	for err == nil {
		s.asked, s.floor = true, max(s.floor, s.durable.mark.Seq)
		var b *stream.Begin
		if b, since, err = r.FindBegin(ctx, since, []string{"a", "b"}, s.durable.mark.Seq); b != nil {
			s.asked = false
			r.Adopt(b)
			return nil
		}
	}
	return err
}

// apply checks a record and makes it durable.
func (s *sim) apply(ctx context.Context, rec *stream.Record, at *position) error {
	p := rec.Progress
	n := 0
	last := stream.Data{}
	for d, err := range rec.Open(ctx) {
		if err != nil {
			return err
		}
		if string(d.Value) != p.Position.GTID {
			s.fail("record %s (%s) holds a row of %s", p.ID, p.Position.GTID, d.Value)
		}
		if d.Seq < last.Seq || n > 0 && d.Idx <= last.Idx {
			s.fail("record %s: %d/%d after %d/%d", p.ID, d.Seq, d.Idx, last.Seq, last.Idx)
		}
		last = d
		n++
	}
	if want := s.rows[p.Position.GTID]; n != want {
		s.fail("record %s has %d rows of %d", p.ID, n, want)
	}
	hash := at.hash
	if p.Kind == change.Begin && hash == "" && len(p.Cover.Tables) < 2 {
		s.fail("record %s begins the reader, which lacks a and b, with %v", p.ID, p.Cover.Tables)
	}
	if p.Kind == change.Begin {
		hash = "" // from here on nothing before matters
	} else if at.hash == "" {
		s.fail("record %s is applied before any begin", p.ID)
	}
	if at.hash = chain(hash, p.Position.GTID); at.hash != p.Position.File {
		s.fail("record %s (seq %d) is applied on top of something else than it was written on", p.ID, p.SeqTo)
	}
	if p.SeqTo <= s.durable.mark.Seq {
		s.fail("record %s: seq %d after %d", p.ID, p.SeqTo, s.durable.mark.Seq)
	}
	at.mark, s.durable = rec.Mark, position{rec.Mark, at.hash}
	s.reads++
	return s.call(ctx, "applied")
}

func newSim(t *testing.T, seed uint64, rules stream.Rules) *sim {
	s := &sim{t: t, r: rand.New(rand.NewPCG(seed, 1)), rules: rules, b: memlog.New(), rows: map[string]int{}, reader: &actor{}}
	s.b.OnCall, s.b.Now = s.call, s.now
	for topic, n := range map[string]int{"s.a": 2, "s.b": 1, "s.progress": 1, "s.meta": 1} {
		s.b.CreateTopic(topic, n)
	}
	s.writers = [2]*actor{{}, {}}
	return s
}

// run returns what went wrong, or "".
func (s *sim) run(steps int, cuts int) string {
	for s.tick = 0; s.tick < steps && s.bad == ""; s.tick++ {
		s.fault(cuts)
		s.turn()
	}
	s.quiet, s.head = true, change.Mark{}
	for ; s.tick < 5*steps+20_000 && s.bad == ""; s.tick++ {
		s.turn()
		if !s.asked && s.writers[0].alive && s.durable.mark == s.head && !s.head.IsZero() {
			break
		}
	}
	if s.bad == "" && s.durable.mark != s.head {
		s.fail("not settled: the reader stands at %v, the writer at %v, asked %v", s.durable.mark, s.head, s.asked)
	}
	for _, a := range []*actor{s.writers[0], s.writers[1], s.reader} {
		for a.alive {
			s.step(a, errCrash)
		}
	}
	return s.bad
}

func (s *sim) turn() {
	switch x := s.r.IntN(10); {
	case x < 3:
		s.b.Marker(s.r.IntN)
	case x < 6 || s.quiet && x < 7:
		s.play(s.writers[0], 4)
	case x < 7:
		s.play(s.writers[1], 100)
	default:
		if !s.reader.alive {
			s.start(s.reader, "reader", s.read)
		}
		s.step(s.reader, nil)
	}
}

// play gives a writer its turn, and starts one that is down now and then.
func (s *sim) play(a *actor, seldom int) {
	if !a.alive {
		if s.quiet && a == s.writers[1] || s.r.IntN(seldom) > 0 {
			return
		}
		process := "p" + s.id()
		s.start(a, process, func(ctx context.Context) error { return s.write(ctx, process) })
	}
	s.step(a, nil)
}

func (s *sim) fault(cuts int) {
	switch x := s.r.IntN(1000); {
	case x < 2:
		s.crash(s.writers[s.r.IntN(2)])
	case x < 4:
		s.crash(s.reader)
	case x < 8:
		s.b.Sync()
	case x < 9:
		s.trim()
	case x < 9+cuts:
		s.b.PowerCut(s.r.IntN, s.r.IntN(2) == 0, 12)
	}
}

func (s *sim) crash(a *actor) {
	for a.alive {
		s.step(a, errCrash)
	}
	if a == s.reader {
		s.asked = false
	}
}

// trim drops a part of a topic, without regard to the reader.
func (s *sim) trim() {
	ctx := context.Background()
	parts := []wire.Part{{Topic: "s.a"}, {Topic: "s.a", Partition: 1}, {Topic: "s.b"}, {Topic: "s.progress"}}
	bs, err := s.b.Bounds(ctx, parts)
	if err != nil {
		s.fail("trim: %v", err)
		return
	}
	for i := range parts {
		parts[i].Next = bs[i].Start + s.r.Int64N(bs[i].Stable-bs[i].Start+1)
	}
	if err := s.b.Trim(ctx, parts); err != nil {
		s.fail("trim: %v", err)
	}
}

func TestSim(t *testing.T) {
	seeds := 200
	if n, err := strconv.Atoi(os.Getenv("CDC_TEST_BUDGET")); err == nil {
		seeds += n
	}
	reads, gone := 0, 0
	for seed := range uint64(seeds) {
		s := newSim(t, seed, 0)
		if bad := s.run(4000, 2); bad != "" {
			t.Fatalf("seed %d: %s", seed, bad)
		}
		reads += s.reads
		gone += s.gone
	}
	t.Logf("%d histories, %d records read, %d times a reader had to ask", seeds, reads, gone)
}

// Each rule that a stream alone can show is needed: without it some history goes wrong. (Here begins come
// often enough for a reader that takes old ones to get away with it.)
func TestSimWithout(t *testing.T) {
	for _, name := range []string{
		"no-fencing-kafka", "offset-only-mark", "readers-not-gated", "prev-chain", "start-check", "header-seq",
		"first-is-begin", "seq-above", "adopt-partial-begin",
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := stream.Without(name)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(3000) {
				if bad := newSim(t, seed, rules).run(3000, 8); bad != "" {
					t.Logf("seed %d: %s", seed, bad)
					return
				}
			}
			t.Error("not caught in 3000 histories")
		})
	}
}
