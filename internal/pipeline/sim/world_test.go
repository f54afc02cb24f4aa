package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/memlog"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
)

// violation is what a check found.
type violation struct{ inv, msg string }

// Options say which history to run.
type options struct {
	seed  uint64
	steps int
	// only is the one kind of fault to have; "" draws a third of them. always are had besides.
	only   string
	always []string
	// without names a rule that is switched off.
	without string
	tracing bool
}

// world is one history: one scheduler, one random source.
type world struct {
	o       options
	r       *rand.Rand
	tick    int
	ids     int
	effects int
	burst   int // an effect yields once in so many times
	load    int // a new transaction in one of so many turns
	calmer  int // faults are so many times rarer
	quiet   bool
	atomic  bool // the actor is inside of a destination's transaction
	tracing bool
	faults  map[string]bool
	counts  map[string]int
	trace   []string

	streamRules stream.Rules
	rules       pipeline.Rules
	sinkBreak   sinks.Break
	batchRows   int

	tables [tableCount]*change.Table
	plans  []*view.Plan // of now
	later  []*view.Plan // once a view has been added

	src      *source
	broker   *memlog.Broker
	captures []*captureProcess
	joiners  []*joinProcess
	dests    []*destination
	delivers []*deliverProcess
	cur      *actor // whose turn it is; nil: the scheduler's

	dirty, mended [tableCount]bool
	// said: an operator said that the source is meant as it is. word waits for a capture that starts; answered:
	// since the source was last set back a cover has begun for it.
	said, word, answered bool
	fresh                map[string]bool // covers that began since it is quiet
	trails               map[string][]trail
	metaFloor            map[string]int64
}

// trail is a committed progress record, as far as trimming needs it.
type trail struct {
	offset int64
	parts  []wire.Part
}

var streamNames = []string{rawStream, viewStream}

func (w *world) now() time.Time { return time.UnixMicro(1_000_000 + int64(w.tick)*1000) }

func (w *world) count(what string) { w.counts[what]++ }

func (w *world) note(format string, args ...any) {
	if w.tracing {
		w.trace = append(w.trace, fmt.Sprintf("%6d ", w.tick)+fmt.Sprintf(format, args...))
	}
}

func (w *world) fail(inv, msg string) { panic(violation{inv, fmt.Sprintf("step %d: %s", w.tick, msg)}) }

func (w *world) mutated(rule string) bool { return w.o.without == rule }

// named are the kinds of faults that happen by name only: cut-deep costs much, the others aim at one rule.
var named = []string{"cut-deep", "slow-log", "silent-in-heal", "cut-at-begin"}

// faultNames are the other kinds of faults.
var faultNames = []string{
	"crash", "two-captures", "two-joiners", "two-sinks", "gap", "ddl", "silent", "resync", "trim", "hard-trim", "cut", "cut-apart",
	"restore", "late-sink", "sink-down", "new-view", "lost-state", "flaky", "unordered-keys",
}

// fixture is what all histories share: it is never changed.
type fixture struct {
	tables [tableCount]*change.Table
	plans  map[string]*view.Plan
}

func newFixture() (*fixture, error) {
	f := &fixture{tables: shapes(), plans: map[string]*view.Plan{}}
	ps, err := views(f.tables)
	for _, p := range ps {
		f.plans[p.Name] = p
	}
	return f, err
}

func newWorld(f *fixture, o options) *world {
	r := rand.New(rand.NewPCG(o.seed, 7))
	w := &world{
		o: o, r: r, tracing: o.tracing, faults: map[string]bool{}, counts: map[string]int{}, tables: f.tables, broker: memlog.New(),
		fresh: map[string]bool{}, trails: map[string][]trail{}, metaFloor: map[string]int64{},
	}
	w.src = newSource(r)
	w.src.note = w.note
	w.burst, w.load, w.batchRows = 1+r.IntN(5), 1+r.IntN(6), 1+r.IntN(6)
	w.calmer = []int{1, 1, 2, 6}[r.IntN(4)]
	for _, n := range faultNames {
		w.faults[n] = r.IntN(3) == 0 && o.only == "" || n == o.only || slices.Contains(o.always, n)
	}
	// Drawn apart, so that the other faults of a seed do not depend on it.
	w.faults["set-back"] = o.only == "set-back" || o.only == "" && o.without == "" && rand.New(rand.NewPCG(o.seed, 8)).IntN(4) == 0
	for _, n := range named {
		w.faults[n] = n == o.only || slices.Contains(o.always, n)
	}
	w.later = []*view.Plan{f.plans["flat"], f.plans["names"]}
	if r.IntN(2) == 0 {
		w.later[0] = f.plans["wide"]
	}
	w.plans = w.later
	if w.faults["new-view"] {
		w.plans = w.later[:1]
	}
	w.switchOff(o.without)
	w.broker.Now, w.broker.OnCall = w.now, func(_ context.Context, call string) error {
		if !strings.HasSuffix(call, ".done") {
			return w.effect()
		}
		if call == "end.done" && w.faults["flaky"] && !w.quiet && w.r.IntN(100) == 0 {
			return errFlaky
		}
		return w.point()
	}
	w.assemble()
	return w
}

// switchOff hands the rule to whom it belongs; some belong to the simulated source.
func (w *world) switchOff(rule string) {
	if slices.Contains(stream.RuleNames(), rule) {
		w.streamRules, _ = stream.Without(rule)
	}
	if slices.Contains(pipeline.RuleNames(), rule) {
		w.rules, _ = pipeline.Without(rule)
	}
	w.sinkBreak = map[string]sinks.Break{
		"changes-bypass-staging": sinks.BreakChangesBypassStaging, "deletes-last": sinks.BreakDeletesLast,
		"no-fencing-sink": sinks.BreakNoFencing, "live-chunk-in-staging": sinks.BreakLiveChunkOutsideStaging,
	}[rule]
}

func (w *world) assemble() {
	topic := func(name string, id change.TableID, n int) { w.broker.CreateTopic(stream.DataTopic(name, id), n) }
	for _, t := range w.tables {
		topic(rawStream, t.ID, 2)
	}
	for _, p := range w.later {
		topic(viewStream, p.Output.ID, 1)
	}
	for _, n := range streamNames {
		w.broker.CreateTopic(stream.ProgressTopic(n), 1)
		w.broker.CreateTopic(stream.MetaTopic(n), 1)
	}
	for i := range 2 {
		w.captures = append(w.captures, w.newCapture(i))
		w.joiners = append(w.joiners, w.newJoin(i))
	}
	for _, n := range []string{"mars", "neptune"} {
		w.dests = append(w.dests, newDestination(n))
	}
	for i := range 2 {
		for _, d := range w.dests {
			for _, n := range streamNames {
				w.delivers = append(w.delivers, w.newDeliver(i, d, n))
			}
		}
	}
}

// actors lists everybody, in a fixed order.
func (w *world) actors() []*actor {
	var as []*actor
	for _, c := range w.captures {
		as = append(as, &c.actor)
	}
	for _, j := range w.joiners {
		as = append(as, &j.actor)
	}
	for _, d := range w.delivers {
		as = append(as, &d.actor)
	}
	return as
}

// committed follows what a writer has committed.
func (w *world) committed(c pipeline.Committed, wr *stream.Writer) {
	w.note("%s commits %s up to seq %d, position %d, offset %d, id %s, %d rows", c.Stream, c.Kind, c.Mark.Seq, placeOf(c.Mark.Position), c.Mark.Offset, c.Mark.ID, c.Rows)
	w.count(c.Stream + " " + c.Kind.String())
	w.trails[c.Stream] = append(w.trails[c.Stream], trail{c.Mark.Offset, wr.State().Newest.Parts})
	w.metaFloor[c.Stream] = wr.MetaFloor()
	w.inHeal(c)
	if c.Stream != rawStream || c.Cover == nil || !w.quiet {
		return
	}
	switch c.Kind {
	case change.Begin:
		w.fresh[c.Cover.ID] = true
	case change.End:
		for i, t := range w.tables {
			if w.fresh[c.Cover.ID] && c.Cover.For == "" && c.Cover.Names(t.ID.String()) && c.Cover.Range == change.WholeTable() {
				w.mended[i] = true
			}
		}
	}
}

// step lets one actor have a turn.
func (w *world) step() {
	r := w.r
	w.tick++
	w.inject()
	switch x := r.IntN(40); {
	case x < 1:
		if !w.quiet && r.IntN(w.load) == 0 {
			w.src.commit()
		} else {
			w.src.advance()
		}
	case x < 3:
		w.src.advance()
	case x < 9:
		for range 1 + r.IntN(4) {
			w.broker.Marker(r.IntN)
		}
	case x < 10:
		if r.IntN(6) == 0 {
			w.joiners[0].store.sync()
		}
	case x < 18:
		c := w.captures[w.which("two-captures")]
		w.play(&c.actor, c != w.captures[0])
	case x < 21:
		if c := w.captures[w.which("two-captures")]; c.up && c.chunks != nil {
			for range 1 + r.IntN(4) {
				c.chunks.step()
			}
		}
	case x < 29:
		j := w.joiners[w.which("two-joiners")]
		w.play(&j.actor, j != w.joiners[0])
	default:
		w.deliver()
	}
}

func (w *world) deliver() {
	half := len(w.delivers) / 2
	d := w.delivers[w.r.IntN(half)+half*w.which("two-sinks")]
	if d.to.down > 0 {
		d.to.down--
	}
	if d.to.name == "neptune" && w.faults["late-sink"] && !w.quiet && w.tick < w.o.steps/3 {
		return
	}
	w.play(&d.actor, w.delivers[w.r.IntN(half)] != d && d.name[len(d.name)-1] == '1')
}

// which picks a process: the second one seldom, and only where there are two.
func (w *world) which(fault string) int {
	if w.faults[fault] && !w.quiet && w.r.IntN(3) == 0 {
		return 1
	}
	return 0
}

// play gives an actor its turn; one that is down is started now and then.
func (w *world) play(a *actor, second bool) {
	if a.up {
		w.turn(a)
		return
	}
	if w.r.IntN(3) == 0 && (!second || w.r.IntN(15) == 0) {
		w.start(a)
	}
}

// run drives the world: chaos, then quiet with a bound; it returns the violation, if any.
func (w *world) run() (v *violation) {
	defer func() {
		x := recover()
		w.cur = nil
		for _, a := range w.actors() {
			if a.up {
				a.crashed = true
				w.cur = a
				w.release(a)
				w.cur = nil
			}
		}
		if x == nil {
			return
		}
		y, ok := x.(violation)
		if !ok {
			y = violation{"panic", fmt.Sprintf("step %d: %v\n%s", w.tick, x, debug.Stack())}
		}
		v = &y
	}()
	for range w.o.steps {
		w.step()
	}
	w.calm()
	limit := w.tick + 4*w.o.steps + 20_000
	for w.tick < limit {
		w.step()
		if w.tick%50 != 0 {
			continue
		}
		if w.settled() {
			w.final()
			return nil
		}
		// Once is enough, unless the capture has stopped again or the broker has lost what came of it.
		if w.faults["set-back"] && w.tick%1000 == 0 && (!w.answered || !w.captures[0].up || w.counts["power cut"] > 0) {
			w.mean()
		}
		for i, t := range w.tables {
			// In a heal each change is resynced at once, and once: more would mend what that one did not.
			if w.dirty[i] && !w.mended[i] && w.tick%1000 == 0 && !w.faults["silent-in-heal"] {
				w.askCapture(pipeline.Ask{Tables: []string{t.ID.String()}})
			}
		}
	}
	w.fail("liveness", "not settled: "+w.why())
	return nil
}

// release ends an actor at the end of a history, whatever happens while it unwinds.
func (w *world) release(a *actor) {
	defer func() { _ = recover() }() // the history is over: nobody looks at it any more
	a.stop()
}

// calm ends writes and faults.
func (w *world) calm() {
	w.note("quiet")
	w.quiet = true
	w.addView()
	for _, a := range w.actors() {
		if a.name[len(a.name)-1] == '1' {
			w.crash(a)
		}
		a.die = 0
	}
	for _, d := range w.dests {
		d.down = 0
	}
	if w.faults["silent-in-heal"] {
		w.askCapture(pipeline.Ask{Heal: true})
	}
}
