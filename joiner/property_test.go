package joiner_test

import (
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/joiner/memstate"
	"github.com/etlsandbox/cdc/schemas/change"
)

// budget is how long each randomised test runs: a twentieth of CDC_TEST_BUDGET, which all tests share, and at
// least 2 s.
func budget(t *testing.T) time.Duration {
	s := os.Getenv("CDC_TEST_BUDGET")
	if s == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("CDC_TEST_BUDGET=%q is no duration (write 60s)", s)
	}
	return max(2*time.Second, d/20)
}

// seeds calls run with new seeds until the budget is spent, or with CDC_TEST_SEED alone.
func seeds(t *testing.T, run func(seed int64) error) {
	t.Helper()
	if s := os.Getenv("CDC_TEST_SEED"); s != "" {
		seed, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		return
	}
	start, n := time.Now(), 0
	for seed := start.UnixNano() % 1e9; time.Since(start) < budget(t); seed++ {
		if err := run(seed); err != nil {
			t.Fatalf("seed %d (CDC_TEST_SEED=%d repeats it): %v", seed, seed, err)
		}
		n++
	}
	t.Logf("%d histories held", n)
}

// harness drives an engine beside the oracle.
type harness struct {
	*world
	e      *joiner.Engine
	src    *oracle.Source
	state  *memstate.State
	folded map[string]map[change.Key]change.Row // what the outputs so far add up to
	opts   joiner.Options
}

func newHarness(seed int64) (*harness, error) {
	w := newWorld(rand.New(rand.NewSource(seed)))
	e, err := joiner.New(w.plans)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, w.describe())
	}
	e.SetChildPage(1 + w.r.Intn(3))
	e.SetMemo(w.r.Intn(3), 1+w.r.Intn(8))
	e.SetLoadStep(1 + w.r.Intn(3))
	h := &harness{world: w, e: e, src: oracle.NewSource(w.shapes), state: memstate.New(), folded: map[string]map[change.Key]change.Row{}}
	if w.r.Intn(2) == 0 {
		h.opts.Limit = 200 + w.r.Intn(3000)
		h.opts.Scratch = func() (joiner.Scratch, error) { return memstate.NewScratch(), nil }
	}
	for _, p := range w.plans {
		h.folded[p.Name] = map[change.Key]change.Row{}
	}
	return h, nil
}

// handled reports whether the engine follows all foreign keys of the world.
func (h *harness) handled() bool {
	return !slices.ContainsFunc(h.e.Cascades(), func(c joiner.Cascade) bool {
		parent := slices.IndexFunc(h.shapes, func(s *change.Table) bool { return s.ID == c.Parent })
		return !c.Handled || c.FromLog && len(h.shapes[parent].ForeignKeys) > 0
	})
}

// batch applies events as one batch and checks outputs and state.
func (h *harness) batch(evs []change.Event) error {
	b, err := h.e.Begin(h.state, h.opts)
	if err != nil {
		return err
	}
	for i := range evs {
		if err := b.Apply(&evs[i]); err != nil {
			return err
		}
	}
	return h.finish(b)
}

func (h *harness) finish(b *joiner.Batch) error {
	for _, p := range h.plans {
		if err := h.fold(p.Name, b); err != nil {
			return err
		}
		want, err := oracle.Evaluate(p, h.src.Rows)
		if err != nil {
			return err
		}
		if err := same(h.folded[p.Name], want); err != nil {
			return fmt.Errorf("view %s: %w", p.Name, err)
		}
	}
	if err := b.Flush(h.state); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return err
	}
	return h.checkState()
}

// fold applies a view's outputs to what they add up to, checking that each is a net change of it.
func (h *harness) fold(name string, b *joiner.Batch) error {
	rows := h.folded[name]
	last, first := change.Key(""), true
	for o, err := range b.Outputs(name) {
		if err != nil {
			return err
		}
		if !first && o.Key <= last {
			return fmt.Errorf("outputs of %s are not sorted by key", name)
		}
		last, first = o.Key, false
		was, held := rows[o.Key]
		switch {
		case o.Op == change.Insert && held, o.Op != change.Insert && !held:
			return fmt.Errorf("%s of %x in %s: row held: %v", o.Op, o.Key, name, held)
		case held && !was.Equal(o.Before):
			return fmt.Errorf("%s in %s: before %v, held %v", o.Op, name, o.Before, was)
		case o.Op == change.Update && o.Before.Equal(o.After):
			return fmt.Errorf("an update of %s changes nothing: %v", name, o.After)
		}
		if o.Op == change.Delete {
			delete(rows, o.Key)
		} else {
			rows[o.Key] = o.After
		}
	}
	return nil
}

func same(got, want map[change.Key]change.Row) error {
	for k, row := range want {
		if g, ok := got[k]; !ok || !g.Equal(row) {
			return fmt.Errorf("want %v, have %v", row, g)
		}
	}
	for k, row := range got {
		if _, ok := want[k]; !ok {
			return fmt.Errorf("have %v, which should not be there", row)
		}
	}
	return nil
}

// checkState compares the stored rows with the source's, in the kept columns.
func (h *harness) checkState() error {
	for slot, t := range h.e.Tables() {
		want := h.src.Rows[t.Shape.ID]
		if n := h.state.Len(slot); n != len(want) {
			return fmt.Errorf("state holds %d rows of %s, the source %d", n, t.Shape.ID, len(want))
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			row, err := h.state.Row(slot, []byte(k))
			if err != nil {
				return err
			}
			for c := range row {
				if slices.Contains(t.Columns, c) != !row[c].IsAbsent() {
					return fmt.Errorf("state of %s keeps %v, wants columns %v", t.Shape.ID, row, t.Columns)
				}
				if !row[c].IsAbsent() && row[c] != want[k][c] {
					return fmt.Errorf("state of %s holds %v, the source %v", t.Shape.ID, row, want[k])
				}
			}
		}
	}
	return nil
}

func TestEngineEqualsOracle(t *testing.T) {
	t.Parallel()
	seeds(t, func(seed int64) error {
		h, err := newHarness(seed)
		if err != nil {
			return err
		}
		if !h.handled() {
			for _, s := range h.shapes {
				s.ForeignKeys = nil
			}
			if h.e, err = joiner.New(h.plans); err != nil {
				return err
			}
		}
		for step := range 20 {
			var evs []change.Event
			for range 1 + h.r.Intn(3) { // transactions per batch
				for range 1 + h.r.Intn(5) {
					h.statement(h.src)
				}
				evs = append(evs, h.src.Commit()...)
			}
			if err := h.batch(evs); err != nil {
				return fmt.Errorf("batch %d: %w\n%s", step, err, h.describe())
			}
		}
		return nil
	})
}
