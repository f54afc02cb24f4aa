package sim

import (
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
)

// mutation is a rule that is switched off, and the kinds of histories that catch it soonest.
type mutation struct {
	rule   string
	fault  string   // this kind of fault alone; "" mixed ones
	always []string // these besides
	steps  int
	rare   bool   // caught by one history in thousands: tried with more time only
	first  uint64 // a seed that caught it when this was written; the search goes on behind it
}

// mutations lists every rule that the real code, or the simulated source, can be made to break. Of the
// model's rules two do not exist here: low-ahead-of-visibility and low-is-no-filter speak of a low place,
// which the chunk algorithm no longer has, because all changes since registration are applied; and
// hold-end is a guard that the model could not make fail either.
var mutations = []mutation{
	{rule: "no-wait-until-executed", first: 11},
	{rule: "high-executed-first", fault: "slow-log", first: 77},
	{rule: "high-executed-only", fault: "slow-log", first: 20},
	{rule: "state-of-roll-to-low"},
	{rule: "roll-only-to-high"},
	{rule: "drop-changed-keys"},
	{rule: "ranges-without-ends"},
	{rule: "ddl-then-begin", fault: "ddl"},
	{rule: "chunks-from-state-at-begin"},
	{rule: "chunks-before-raw-end"},
	{rule: "no-state-replay", first: 131},
	{rule: "view-begin-at-raw-begin", first: 14},
	{rule: "changes-bypass-staging"},
	{rule: "deletes-last"},
	{rule: "live-chunk-in-staging", fault: "silent-in-heal"},
	{rule: "no-fencing-sink", fault: "two-sinks", always: []string{"resync"}},
	{rule: "no-fencing-kafka", fault: "two-captures"},
	{rule: "offset-only-mark", fault: "cut", first: 626},
	{rule: "readers-not-gated"},
	{rule: "prev-chain", fault: "cut", first: 626},
	{rule: "start-check", fault: "cut-apart", first: 138},
	{rule: "header-seq", fault: "cut-apart", first: 570},
	{rule: "first-is-begin", fault: "cut-at-begin", always: []string{"restore", "lost-state"}, first: 43},
	{rule: "adopt-old-begin", first: 8},
	{rule: "adopt-partial-begin", first: 154},
	{rule: "seq-above", fault: "cut-deep"},
	{rule: "back", fault: "set-back", first: 45},
}

// TestMutations shows that each rule is needed: without it some history goes wrong that is right with it.
func TestMutations(t *testing.T) {
	f := mustFixture(t)
	for _, m := range mutations {
		if *flagRule != "" && *flagRule != m.rule {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			if m.rare && budget(t) == 0 && *flagRule == "" {
				t.Skip("too few histories show it: set CDC_TEST_BUDGET=10m")
			}
			n := 1500
			if m.rare {
				n = 20_000
			}
			if *flagSeeds > 0 {
				n = *flagSeeds
			}
			m.search(t, f, n)
		})
	}
}

func (m mutation) search(t *testing.T, f *fixture, n int) {
	o := options{steps: m.steps, only: m.fault, always: m.always, without: m.rule}
	if o.steps == 0 {
		o.steps = *flagSteps
	}
	first := max(1, m.first)
	for from := first; from < first+uint64(n); {
		_, w, v, _ := explore(f, o, from, int(first+uint64(n)-from), time.Time{})
		if v == nil {
			break
		}
		whole := o
		whole.seed, whole.without = w.o.seed, ""
		if _, bad := run(f, whole); bad == nil {
			t.Logf("caught by seed %d: %s: %.200s", w.o.seed, v.inv, v.msg)
			return
		}
		t.Logf("seed %d goes wrong with the rule too", w.o.seed)
		from = w.o.seed + 1
	}
	t.Fatalf("not caught in %d histories", n)
}

// TestRulesAreCovered: a rule that can be switched off is tried.
func TestRulesAreCovered(t *testing.T) {
	for _, names := range [][]string{stream.RuleNames(), pipeline.RuleNames()} {
		for _, n := range names {
			found := false
			for _, m := range mutations {
				found = found || m.rule == n
			}
			if !found {
				t.Errorf("no test switches %s off", n)
			}
		}
	}
}
