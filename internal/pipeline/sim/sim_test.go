package sim

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

var (
	flagSeed  = flag.Uint64("seed", 0, "run this history alone")
	flagSeeds = flag.Int("seeds", 0, "run so many histories of mixed faults")
	flagFrom  = flag.Uint64("from", 1, "first seed")
	flagSteps = flag.Int("steps", 2000, "steps of chaos in a history")
	flagFault = flag.String("fault", "", "this kind of fault alone")
	flagRule  = flag.String("without", "", "switch this rule off")
	flagTrace = flag.Bool("trace", false, "print what happened")
)

func run(f *fixture, o options) (*world, *violation) {
	w := newWorld(f, o)
	return w, w.run()
}

// explore runs histories on all processors until one fails (then stop says so), or all have run, or the time
// is over. It returns the failing history with the lowest seed.
func explore(f *fixture, o options, from uint64, n int, until time.Time) (done int, bad *world, v *violation, counts map[string]int) {
	var next, ran atomic.Int64
	var failed atomic.Bool
	var mu sync.Mutex // guards bad, v, counts
	counts = map[string]int{}
	var wg sync.WaitGroup
	for range workers() {
		wg.Go(func() {
			for !failed.Load() {
				i := next.Add(1) - 1
				if i >= int64(n) || !until.IsZero() && time.Now().After(until) {
					return
				}
				o := o
				o.seed = from + uint64(i)
				w, got := run(f, o)
				ran.Add(1)
				mu.Lock()
				for k, c := range w.counts {
					counts[k] += c
				}
				counts["ticks"] += w.tick
				counts["effects"] += w.effects
				if got != nil && (v == nil || o.seed < bad.o.seed) {
					bad, v = w, got
					failed.Store(true)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return int(ran.Load()), bad, v, counts
}

func workers() int { return 2 }

func (w *world) describe(v *violation) string {
	var fs []string
	for f, on := range w.faults {
		if on {
			fs = append(fs, f)
		}
	}
	slices.Sort(fs)
	again := fmt.Sprintf("go test ./internal/pipeline/sim -run Seed -seed %d -steps %d -trace", w.o.seed, w.o.steps)
	if w.o.only != "" {
		again += " -fault " + w.o.only
	}
	if w.o.without != "" {
		again += " -without " + w.o.without
	}
	return fmt.Sprintf("seed %d: %s: %s\nexact %v, unordered %v, burst %d, faults %v\nagain: %s",
		w.o.seed, v.inv, v.msg, w.src.exact, w.src.unordered, w.burst, fs, again)
}

func mustFixture(t *testing.T) *fixture {
	f, err := newFixture()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSeed runs one history: go test -run Seed -seed N -trace.
func TestSeed(t *testing.T) {
	seed := max(1, *flagSeed)
	w, v := run(mustFixture(t), options{seed: seed, steps: *flagSteps, only: *flagFault, without: *flagRule, tracing: *flagTrace})
	if *flagTrace {
		t.Log("\n" + strings.Join(w.trace, "\n"))
	}
	if v != nil {
		t.Fatal(w.describe(v))
	}
}

// TestRefilledChunk pins a history (I1): a destination has read the progress record of a chunk when a power cut takes
// both from the log, and the transaction that is written in its place has as many rows of the table under the same Seq.
func TestRefilledChunk(t *testing.T) {
	if w, v := run(mustFixture(t), options{seed: 328, steps: 2000, only: "cut"}); v != nil {
		t.Fatal(w.describe(v))
	}
}

// usual is the part of CDC_TEST_BUDGET that the usual number of histories stands for.
const usual = time.Minute

// budget is the time for further histories.
func budget(t *testing.T) time.Duration { return max(0, testenv.Budget(t)-usual) }

// TestSimulation explores histories of mixed faults: no violation, and everything settles. With more
// time than the usual (CDC_TEST_BUDGET=1h) it goes on with further seeds.
func TestSimulation(t *testing.T) {
	n := 2000
	if *flagSeeds > 0 {
		n = *flagSeeds
	}
	f, o, began := mustFixture(t), options{steps: *flagSteps, only: *flagFault, without: *flagRule}, time.Now()
	done, w, v, counts := explore(f, o, *flagFrom, n, time.Time{})
	if more := budget(t); v == nil && more > 0 {
		var further int
		further, w, v, _ = explore(f, o, *flagFrom+uint64(n), 1<<40, time.Now().Add(more))
		done += further
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[k], k)
	}
	t.Logf("%d histories in %s", done, time.Since(began).Round(time.Millisecond))
	if v != nil {
		t.Fatal(w.describe(v))
	}
	for _, k := range []string{"views changes", "raw changes", "views end", "raw end", "power cut", "restore", "fenced"} {
		if counts[k] < done/50 {
			t.Errorf("%s happened %d times in %d histories: the simulation looks at nothing", k, counts[k], done)
		}
	}
}

// TestDeterminism: one seed is one history, whatever the order of maps.
func TestDeterminism(t *testing.T) {
	f := mustFixture(t)
	for seed := uint64(1); seed <= 12; seed++ {
		o := options{seed: seed, steps: 1000, tracing: true}
		a, _ := run(f, o)
		b, _ := run(f, o)
		if len(a.trace) < 100 {
			t.Errorf("seed %d: the trace has %d lines", seed, len(a.trace))
		}
		for i := range min(len(a.trace), len(b.trace)) {
			if a.trace[i] != b.trace[i] {
				t.Fatalf("seed %d: the histories part:\n%s\n%s", seed, a.trace[i], b.trace[i])
			}
		}
		if len(a.trace) != len(b.trace) || a.effects != b.effects {
			t.Errorf("seed %d: %d and %d lines, %d and %d effects", seed, len(a.trace), len(b.trace), a.effects, b.effects)
		}
	}
}
