package statestore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/etlsandbox/cdc/schemas/change"
)

// testBudget is how long a randomised test runs: a twentieth of CDC_TEST_BUDGET, and at least 2 s.
func testBudget(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("CDC_TEST_BUDGET"))
	if err != nil {
		return 2 * time.Second
	}
	return max(2*time.Second, d/20)
}

// model is what the store should hold after each batch.
type model struct {
	rows  map[string]string // key -> name
	notes map[string]bool
}

func (m model) clone() model { return model{maps.Clone(m.rows), maps.Clone(m.notes)} }

// history applies random batches and keeps the model after each: index i is the state after i batches.
type history struct {
	r      *rand.Rand
	states []model
}

// step commits one batch; the number of the batch stands in the input Mark.
func (h *history) step(s *Store) error {
	if h.r.IntN(3) == 0 {
		s.budget.large = 200 + h.r.IntN(2000)
	} else {
		s.budget.large = 1 << 20
	}
	n := h.states[s.Marks().In.Seq].clone()
	b := s.NewBatch()
	if h.r.IntN(4) == 0 {
		if err := b.ClearNotes(0); err != nil {
			return errors.Join(err, b.Close())
		}
		n.notes = map[string]bool{}
	}
	for range h.r.IntN(40) {
		if err := h.change(b, &n); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	seq := s.Marks().In.Seq + 1
	b.SetMarks(Marks{In: change.Mark{ID: "m", Incarnation: 1, Seq: seq}})
	h.states = append(h.states[:seq], n)
	return b.Commit()
}

func (h *history) change(b *Batch, n *model) error {
	id := int64(h.r.IntN(60))
	k := string(key(id))
	old, had := n.rows[k]
	join := func(name string) []byte { return change.AppendKey(nil, change.StringValue(name)) }
	if had {
		if err := b.SetIndex(0, join(old), key(id), false); err != nil {
			return err
		}
	}
	switch h.r.IntN(4) {
	case 0:
		delete(n.rows, k)
		return b.SetRow(0, key(id), nil)
	case 1:
		n.notes[k] = true
		if err := b.Note(0, key(id)); err != nil || !had {
			return err
		}
		return b.SetIndex(0, join(old), key(id), true)
	}
	name := fmt.Sprintf("name %d", h.r.IntN(5))
	n.rows[k] = name
	return errors.Join(b.SetRow(0, key(id), person(id, name)), b.SetIndex(0, join(name), key(id), true))
}

// check compares the store with the model at the store's own Mark.
func (h *history) check(s *Store) (err error) {
	want := h.states[s.Marks().In.Seq]
	r, err := s.Read()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	n := 0
	if err := r.Rows(0, nil, nil, func(k []byte, row change.Row) bool {
		if n++; want.rows[string(k)] != row[1].Text() {
			err = fmt.Errorf("row %x is %v, want %q", k, row, want.rows[string(k)])
		}
		return err == nil
	}); err != nil {
		return err
	}
	indexed := 0
	for i := range 5 {
		name := fmt.Sprintf("name %d", i)
		if err := r.Index(0, change.AppendKey(nil, change.StringValue(name)), func(k []byte) bool {
			if indexed++; want.rows[string(k)] != name {
				err = fmt.Errorf("the index has %x under %q", k, name)
			}
			return err == nil
		}); err != nil {
			return err
		}
	}
	for id := range int64(60) {
		got, nerr := r.Noted(0, key(id))
		if nerr != nil {
			return nerr
		}
		if got != want.notes[string(key(id))] {
			return fmt.Errorf("Noted(%d) = %t", id, got)
		}
	}
	if err == nil && (n != len(want.rows) || indexed != len(want.rows)) {
		err = fmt.Errorf("%d rows, %d index entries, want %d", n, indexed, len(want.rows))
	}
	return err
}

func openAt(fs vfs.FS) (*Store, error) {
	s, err := Open("state", Options{FS: fs, Memory: 32 << 20})
	if err != nil {
		return nil, err
	}
	if _, err := s.Configure(layout([]int{0, 1}, "name")); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// TestCrashKeepsPrefix crashes the machine at random: what comes back is the state after some batch, not
// before the last sync, whole in rows, indexes, notes and Mark, large batches included.
func TestCrashKeepsPrefix(t *testing.T) {
	t.Parallel()
	crashes, start := 0, time.Now()
	for seed := uint64(start.UnixNano()); time.Since(start) < testBudget(t); seed++ {
		h := &history{r: rand.New(rand.NewPCG(seed, 0)), states: []model{{map[string]string{}, map[string]bool{}}}}
		fs := vfs.NewCrashableMem()
		fail := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, what, err)
			}
		}
		s, err := openAt(fs)
		fail("open", err)
		synced := change.Seq(0)
		for range 25 {
			fail("batch", h.step(s))
			if s.budget.large < 1<<20 && h.r.IntN(2) == 0 || h.r.IntN(5) == 0 {
				fail("sync", s.Sync())
				synced = s.Marks().In.Seq
			}
			if h.r.IntN(5) == 0 {
				crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: h.r.IntN(3) * 50, RNG: h.r})
				fail("close", s.Close())
				fs = crashed
				s, err = openAt(fs)
				fail("open after a crash", err)
				crashes++
				if s.Marks().In.Seq < synced {
					t.Fatalf("seed %d: batch %d after a crash, synced was %d", seed, s.Marks().In.Seq, synced)
				}
				synced = s.Marks().In.Seq
			}
			fail("check", h.check(s))
		}
		fail("close", s.Close())
	}
	t.Logf("%d crashes", crashes)
}

// TestEveryIOFails lets each I/O of a short life fail in turn, and all that follow it (a full disk). No
// failure may end the process, hang, or be swallowed; and the disk is left in the state of some batch.
func TestEveryIOFails(t *testing.T) {
	t.Parallel()
	failed, step := 0, 1
	if testBudget(t) < 30*time.Second {
		step = 7
	}
	for n := int32(0); ; n += int32(step) {
		h := &history{r: rand.New(rand.NewPCG(1, 1)), states: []model{{map[string]string{}, map[string]bool{}}}}
		mem := vfs.NewCrashableMem()
		counter := newFailing(n)
		err := h.life(errorfs.Wrap(mem, counter))
		if !counter.injected.Load() {
			if err != nil {
				t.Fatalf("without a failure: %v", err)
			}
			break
		}
		if err != nil {
			failed++
			if !errors.Is(err, errorfs.ErrInjected) {
				t.Errorf("failure at I/O %d: %v", n, err)
			}
		}
		after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: h.r})
		s, err := openAt(after)
		if err != nil {
			t.Fatalf("open after a failure at I/O %d: %v", n, err)
		}
		if err := h.check(s); err != nil {
			t.Errorf("after a failure at I/O %d: %v", n, err)
		}
		mustClose(t, s)
	}
	if failed < 10 {
		t.Errorf("%d failures were seen: the test did not test", failed)
	}
	t.Logf("%d failures were reported", failed)
}

// failing fails the n-th I/O and every one after it, except removing and closing, which a full disk allows.
type failing struct {
	left     atomic.Int32
	injected atomic.Bool
}

func newFailing(n int32) *failing {
	f := &failing{}
	f.left.Store(n)
	return f
}

// MaybeError implements errorfs.Injector.
func (f *failing) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpFileClose:
		return nil
	}
	if f.left.Add(-1) >= 0 {
		return nil
	}
	f.injected.Store(true)
	return errorfs.ErrInjected
}

// String implements errorfs.Injector.
func (f *failing) String() string { return "failing" }

// life is a short life of a store with everything it does.
func (h *history) life(fs vfs.FS) error {
	s, err := openAt(fs)
	if err != nil {
		return err
	}
	work := func() error {
		for i := range 12 {
			if err := h.step(s); err != nil {
				return err
			}
			if i%4 == 3 {
				if err := s.Sync(); err != nil {
					return err
				}
			}
			if err := h.check(s); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.Join(work(), s.Close())
}
