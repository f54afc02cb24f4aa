package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

func budget() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("CDC_TEST_BUDGET"))
	return d
}

func number10(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

// TestSimulation explores histories of mixed faults; CDC_TEST_BUDGET (a duration) adds time.
func TestSimulation(t *testing.T) {
	n := 2000
	if *flagSeeds > 0 {
		n = *flagSeeds
	}
	began := time.Now()
	done, w, v, counts := explore(mustFixture(t), options{steps: *flagSteps, only: *flagFault, without: *flagRule}, *flagFrom, n, time.Time{})
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[k], k)
	}
	t.Logf("%d histories in %s", done, time.Since(began).Round(time.Millisecond))
	if v != nil {
		t.Fatal(w.describe(v))
	}
}
