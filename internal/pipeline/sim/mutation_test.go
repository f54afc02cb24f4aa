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
	first  uint64 // a seed that caught it when this was written; the search goes on behind it
}

// mutations lists every rule that the real code, or the simulated source, can be made to break. Of the
// model's rules two do not exist here: low-ahead-of-visibility and low-is-no-filter speak of a low place,
// which the chunk algorithm no longer has, because all changes since registration are applied; and
// hold-end is a guard that the model could not make fail either.
var mutations = []mutation{
	{rule: "no-wait-until-executed"},
	{rule: "high-executed-first", fault: "resync", steps: 4000},
	{rule: "high-executed-only", fault: "resync", steps: 4000},
	{rule: "state-of-roll-to-low"},
	{rule: "roll-only-to-high"},
	{rule: "drop-changed-keys"},
	{rule: "ranges-without-ends"},
	{rule: "ddl-then-begin", fault: "ddl"},
	{rule: "chunks-from-state-at-begin"},
	{rule: "chunks-before-raw-end"},
	{rule: "no-state-replay"},
	{rule: "view-begin-at-raw-begin"},
	{rule: "changes-bypass-staging"},
	{rule: "deletes-last"},
	{rule: "live-chunk-in-staging", fault: "silent", always: []string{"resync", "cut", "restore", "sink-down"}},
	{rule: "no-fencing-sink", fault: "two-sinks", always: []string{"resync"}},
	{rule: "no-fencing-kafka", fault: "two-captures"},
	{rule: "offset-only-mark", fault: "cut"},
	{rule: "readers-not-gated"},
	{rule: "prev-chain", fault: "cut"},
	{rule: "start-check", fault: "cut-apart"},
	{rule: "header-seq", fault: "cut-apart"},
	{rule: "first-is-begin", fault: "cut"},
	{rule: "adopt-old-begin"},
	{rule: "adopt-partial-begin"},
	{rule: "seq-above", fault: "cut-deep"},
}

// TestMutations shows that each rule is needed: without it, some history goes wrong.
func TestMutations(t *testing.T) {
	f := mustFixture(t)
	for _, m := range mutations {
		if *flagRule != "" && *flagRule != m.rule {
			continue
		}
		t.Run(m.rule, func(t *testing.T) {
			o := options{steps: m.steps, only: m.fault, always: m.always, without: m.rule}
			if o.steps == 0 {
				o.steps = *flagSteps
			}
			n := 3000
			if *flagSeeds > 0 {
				n = *flagSeeds
			}
			done, w, v, _ := explore(f, o, max(1, m.first), n, time.Time{})
			if v == nil {
				t.Fatalf("not caught in %d histories", done)
			}
			t.Logf("caught after %d histories: seed %d: %s: %s", done, w.o.seed, v.inv, v.msg)
		})
	}
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
