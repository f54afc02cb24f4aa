package joiner_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/statestore"
)

func layouts(e *joiner.Engine) []statestore.Layout {
	var ls []statestore.Layout
	for _, t := range e.Tables() {
		ls = append(ls, statestore.Layout(t))
	}
	return ls
}

// durable drives an engine over a store that crashes, with a log of batches as the stream.
type durable struct {
	*world
	e      *joiner.Engine
	fs     *vfs.MemFS
	store  *statestore.Store
	log    [][]change.Event
	truth  []oracle.Tables // after each batch of the log
	folded map[string]map[change.Key]change.Row
	shown  int // batches whose outputs are folded
}

func (d *durable) open() error {
	var err error
	if d.store, err = statestore.Open("state", statestore.Options{FS: d.fs, Memory: 32 << 20}); err != nil {
		return err
	}
	_, err = d.store.Configure(layouts(d.e))
	return err
}

// at is the number of batches that the store holds.
func (d *durable) at() int { return int(d.store.Marks().In.Seq) }

// step applies the next batch of the log; outputs are wanted only where they were not shown before.
func (d *durable) step() (err error) {
	n := d.at()
	r, err := d.store.Read()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	o := joiner.Options{}
	if n < d.shown {
		o.Emit = []string{}
	}
	if d.r.Intn(2) == 0 {
		o.Limit = 300 + d.r.Intn(2000)
		o.Scratch = func() (joiner.Scratch, error) { return d.store.Scratch() }
	}
	b, err := d.e.Begin(r, o)
	if err != nil {
		return err
	}
	for _, ev := range d.log[n] {
		ev.Before, ev.After = ev.Before.Clone(), ev.After.Clone()
		if err := b.Apply(&ev); err != nil {
			return err
		}
	}
	if n >= d.shown {
		h := &harness{world: d.world, folded: d.folded}
		for _, p := range d.plans {
			if err := h.fold(p.Name, b); err != nil {
				return err
			}
		}
		d.shown++
	}
	sb := d.store.NewBatch()
	if err := b.Flush(sb); err != nil {
		return err
	}
	sb.SetMarks(statestore.Marks{In: change.Mark{Seq: change.Seq(n + 1), ID: "in", Incarnation: 1}})
	if err := b.Close(); err != nil {
		return err
	}
	return sb.Commit()
}

func (d *durable) crash() error {
	after := d.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[d.r.Intn(3)], RNG: rand.New(rand.NewPCG(d.r.Uint64(), 1))})
	if err := d.store.Close(); err != nil {
		return err
	}
	d.fs = after
	return d.open()
}

// check compares the stored rows with the truth at the store's own mark.
func (d *durable) check() (err error) {
	r, err := d.store.Read()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	truth := d.truth[d.at()]
	for slot, t := range d.e.Tables() {
		got := map[change.Key]change.Row{}
		if err := r.Rows(slot, nil, nil, func(k []byte, row change.Row) bool {
			got[change.Key(k)] = row
			return true
		}); err != nil {
			return err
		}
		want := map[change.Key]change.Row{}
		for k, row := range truth[t.Shape.ID] {
			n := row.Clone()
			for c := range n {
				if !slices.Contains(t.Columns, c) {
					n[c] = change.AbsentValue()
				}
			}
			want[k] = n
		}
		if err := same(got, want); err != nil {
			return fmt.Errorf("%s at batch %d: %w", t.Shape.ID, d.at(), err)
		}
	}
	return nil
}

// TestCrashAndReplay kills the machine at random places: the store must come back as of a batch that it
// had, not before the last sync, and a replay of the log without outputs must bring it to where it was.
func TestCrashAndReplay(t *testing.T) {
	t.Parallel()
	crashes, lost := 0, 0
	seeds(t, func(seed int64) error {
		h, err := newHarness(seed)
		if err != nil {
			return err
		}
		if !h.handled() {
			return nil
		}
		d := &durable{world: h.world, e: h.e, fs: vfs.NewCrashableMem(), folded: h.folded, truth: []oracle.Tables{h.src.Rows.Clone()}}
		if err := d.open(); err != nil {
			return err
		}
		synced := 0
		for range 30 {
			for range 1 + d.r.Intn(8) {
				h.statement(h.src)
			}
			d.log, d.truth = append(d.log, h.src.Commit()), append(d.truth, h.src.Rows.Clone())
			for d.at() < len(d.log) {
				if err := d.step(); err != nil {
					return fmt.Errorf("batch %d: %w\n%s", d.at(), err, d.describe())
				}
			}
			switch d.r.Intn(6) {
			case 0:
				if err := d.store.Sync(); err != nil {
					return err
				}
				synced = d.at()
			case 1:
				before := d.at()
				if err := d.crash(); err != nil {
					return err
				}
				crashes++
				if d.at() < before {
					lost++
				}
				if d.at() < synced {
					return fmt.Errorf("the store is at batch %d, synced was %d", d.at(), synced)
				}
				synced = d.at()
			}
			if err := d.check(); err != nil {
				return fmt.Errorf("%w\n%s", err, d.describe())
			}
		}
		if err := d.catchUp(); err != nil {
			return err
		}
		return d.store.Close()
	})
	t.Logf("%d crashes, %d of which lost batches", crashes, lost)
	if lost == 0 {
		t.Error("no crash lost a batch: the test did not test replay")
	}
}

func (d *durable) catchUp() error {
	for d.at() < len(d.log) {
		if err := d.step(); err != nil {
			return err
		}
	}
	for _, p := range d.plans {
		want, err := oracle.Evaluate(p, d.truth[len(d.log)])
		if err != nil {
			return err
		}
		if err := same(d.folded[p.Name], want); err != nil {
			return fmt.Errorf("view %s: %w\n%s", p.Name, err, d.describe())
		}
	}
	return d.check()
}

// TestViewAddedToFilledState adds a view to a filled store: tables that lack columns are covered again,
// indexes are built from the rows, and the new view scans equal.
func TestViewAddedToFilledState(t *testing.T) {
	t.Parallel()
	covered, built := 0, 0
	seeds(t, func(seed int64) error {
		h, err := newHarness(seed)
		if err != nil {
			return err
		}
		for _, s := range h.shapes {
			s.ForeignKeys = nil
		}
		for range 40 {
			h.statement(h.src)
		}
		fs := vfs.NewMem()
		store, err := statestore.Open("state", statestore.Options{FS: fs, Memory: 32 << 20})
		if err != nil {
			return err
		}
		defer store.Close()
		for len(h.plans) < 3 {
			h.plans = append(h.plans, h.plan(fmt.Sprintf("added%d", len(h.plans))))
		}
		all := h.plans
		for n := 1; n <= len(all); n++ {
			c, b, err := grow(h, store, all[:n])
			if err != nil {
				return fmt.Errorf("with %d views: %w\n%s", n, err, h.describe())
			}
			covered, built = covered+c, built+b
		}
		return nil
	})
	if covered == 0 || built == 0 {
		t.Errorf("%d tables were covered again, %d indexes built: the test did not test", covered, built)
	}
}

// grow makes the store serve the plans and checks each by a scan.
func grow(h *harness, store *statestore.Store, plans []*view.Plan) (covered, built int, err error) {
	if h.e, err = joiner.New(plans); err != nil {
		return 0, 0, err
	}
	gaps, err := store.Configure(layouts(h.e))
	if err != nil {
		return 0, 0, err
	}
	for _, g := range gaps {
		for _, x := range g.Indexes {
			built++
			if err := buildIndex(h.e, store, x); err != nil {
				return 0, 0, err
			}
		}
		if !g.New {
			if len(g.Columns) == 0 {
				continue
			}
			covered++
		}
		if err := coverInto(h, store, g.Table); err != nil {
			return 0, 0, err
		}
	}
	r, err := store.Read()
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	for _, p := range plans {
		want, err := oracle.Evaluate(p, h.src.Rows)
		if err != nil {
			return 0, 0, err
		}
		c, err := h.e.Scan(r, p.Name, change.WholeTable(), joiner.ScanOptions{Rows: 1 << 20})
		if err != nil {
			return 0, 0, err
		}
		got := map[change.Key]change.Row{}
		for o, err := range c.Rows() {
			if err != nil {
				return 0, 0, err
			}
			got[o.Key] = o.After
		}
		for !c.Last {
			if c, err = h.e.Scan(r, p.Name, change.KeyRange{Lo: c.Range.Hi, HasLo: true}, joiner.ScanOptions{Rows: 1 << 20}); err != nil {
				return 0, 0, err
			}
			for o, err := range c.Rows() {
				if err != nil {
					return 0, 0, err
				}
				got[o.Key] = o.After
			}
		}
		if err := same(got, want); err != nil {
			return 0, 0, fmt.Errorf("view %s: %w", p.Name, err)
		}
	}
	return covered, built, nil
}

func buildIndex(e *joiner.Engine, store *statestore.Store, x int) error {
	var from []byte
	for {
		r, err := store.Read()
		if err != nil {
			return err
		}
		b := store.NewBatch()
		if from, err = e.BuildIndex(r, x, from, 3, b); err != nil {
			return err
		}
		if from == nil {
			b.SetBuilt(x)
		}
		if err := r.Close(); err != nil {
			return err
		}
		if err := b.Commit(); err != nil || from == nil {
			return err
		}
	}
}

func coverInto(h *harness, store *statestore.Store, id change.TableID) error {
	r, err := store.Read()
	if err != nil {
		return err
	}
	b, err := h.e.Begin(r, joiner.Options{Emit: []string{}})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(h.shapes, func(s *change.Table) bool { return s.ID == id })
	c := &change.Cover{ID: "c", Table: id.String()}
	if err := b.Cover(id, c, h.chunk(h.shapes[i], c.Range)); err != nil {
		return err
	}
	sb := store.NewBatch()
	if err := b.Flush(sb); err != nil {
		return err
	}
	sb.SetWhole(id)
	if err := r.Close(); err != nil {
		return err
	}
	return sb.Commit()
}
