package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// form is a way to take chunks. The zero value is the real one; every field takes a precaution away.
type form struct {
	reader naive
	// binary believes that the table's keys are ordered as their bytes.
	binary bool
	// asRead emits what was read; dropChanged leaves out the keys that changed in the window; rollToHigh
	// rolls to the end of what the read may have seen, though the chunk is emitted later.
	asRead, dropChanged, rollToHigh bool
}

// counts of a run.
type counts struct {
	reads, passes, rows, changes, wrong int
	first                               string // what was wrong first
	took                                time.Duration
}

func (c *counts) String() string {
	return fmt.Sprintf("%d reads of %d rows in %d passes over the table, %d changes in their windows, %d wrong, %s",
		c.reads, c.rows, c.passes, c.changes, c.wrong, c.took.Round(time.Millisecond))
}

// job is one chunk on its way.
type job struct {
	form    form
	table   *change.Table
	rng     change.KeyRange
	window  *Window
	chunk   Chunk
	behind  int  // further boundaries to let pass before it is emitted
	passed  bool // the boundary lies behind High
	changed map[change.Key]bool
}

// note lets the window see a change.
func (j *job) note(ev *change.Event) error {
	if j.form.rollToHigh && j.passed {
		return nil
	}
	for _, row := range []change.Row{ev.Before, ev.After} {
		if row == nil {
			continue
		}
		k, err := j.table.RowKey(row)
		if err != nil {
			return err
		}
		if j.window.unordered || j.rng.Contains(k) {
			j.changed[k] = true
		}
	}
	return j.window.Note(ev)
}

// content is what the chunk says at this boundary.
func (j *job) content() ([]change.Row, error) {
	if j.form.asRead {
		return j.chunk.Rows, nil
	}
	rows, err := j.window.Roll(j.chunk.Rows)
	if err == nil && j.form.dropChanged {
		rows = slices.DeleteFunc(rows, func(r change.Row) bool {
			k, err := j.table.RowKey(r)
			return err == nil && j.changed[k]
		})
	}
	return rows, err
}

// round registers the jobs at the newest boundary, reads them side by side, and emits each at the first
// boundary behind its High, or as many later as it says.
func (l *lab) round(ctx context.Context, jobs []*job, read func(j *job, registered change.Position) (Chunk, error), emit func(*job) error) error {
	if err := l.catchUp(ctx); err != nil {
		return err
	}
	registered := l.pos
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, j := range jobs {
		j.changed = map[change.Key]bool{}
		wg.Go(func() { j.chunk, errs[i] = read(j, registered) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.open = slices.Clone(jobs)
	for {
		for _, j := range slices.Clone(l.open) {
			var err error
			if !j.passed {
				if j.passed, err = l.reached(j.chunk.High); err != nil {
					return err
				}
			}
			switch {
			case !j.passed:
				continue
			case j.behind > 0:
				j.behind--
				continue
			}
			if err := emit(j); err != nil {
				return err
			}
			l.open = slices.DeleteFunc(l.open, func(o *job) bool { return o == j })
		}
		if len(l.open) == 0 {
			return nil
		}
		if err := l.follow(ctx); err != nil {
			return err
		}
	}
}

// atOnce is how many chunks are read at the same time.
const atOnce = 4

// plan is how a run takes chunks.
type plan struct {
	form  form
	table *change.Table // the shape believed in
	rows  int           // of a chunk
	late  int           // chunks are emitted up to so many boundaries later than they could
}

// run takes chunks, over and over the table, until enough says so.
func (l *lab) run(ctx context.Context, p plan, enough func(*counts) bool) (*counts, error) {
	began := time.Now()
	c := &counts{}
	if p.table = l.table; p.form.binary {
		p.table = asBinary(l.table)
	}
	take := l.takeRanges
	if OrderedPrefix(p.table) == 0 {
		take = l.takeWhole
	}
	err := take(ctx, l.reader(p.form), p, c, func() bool {
		c.took = time.Since(began)
		return enough(c)
	})
	if err != nil {
		return c, fmt.Errorf("after %s: %w", c, err)
	}
	return c, nil
}

// asBinary is the table under a collation that orders keys as their bytes.
func asBinary(t *change.Table) *change.Table {
	b := *t
	b.Columns = slices.Clone(t.Columns)
	b.Columns[b.Key[0]].Type.Collation = "utf8mb4_0900_bin"
	return &b
}

// takeRanges covers the table by key ranges, again and again.
func (l *lab) takeRanges(ctx context.Context, r *Reader, p plan, c *counts, done func() bool) error {
	rest := change.WholeTable()
	for !done() {
		var jobs []*job
		passes := 0
		for range atOnce {
			rng, err := r.Plan(ctx, p.table, rest, p.rows)
			if err != nil {
				return err
			}
			if rng.IsEmpty() { // the plan goes backwards: the order is not that of the bytes
				c.wrong++
				rest = change.WholeTable()
				continue
			}
			jobs = append(jobs, &job{form: p.form, table: p.table, rng: rng, behind: l.lateness(p.late), window: NewWindow(p.table, rng, false, 1<<20)})
			if rest = (change.KeyRange{HasLo: true, Lo: rng.Hi}); !rng.HasHi {
				rest = change.WholeTable()
				passes++
			}
		}
		err := l.round(ctx, jobs, func(j *job, registered change.Position) (Chunk, error) {
			return r.Read(ctx, p.table, j.rng, registered)
		}, func(j *job) error { return l.emitRange(j, c) })
		if err != nil {
			return err
		}
		c.passes += passes
	}
	return nil
}

func (l *lab) lateness(most int) int {
	if most == 0 {
		return 0
	}
	return l.rnd.IntN(most)
}

// emitRange compares a chunk with the truth of its range at this boundary, and replaces by it what the
// destination holds of the range.
func (l *lab) emitRange(j *job, c *counts) error {
	rows, err := j.content()
	if err != nil {
		return err
	}
	c.add(j)
	want := map[change.Key]change.Row{}
	for k, r := range l.truth {
		if j.rng.Contains(k) {
			want[k] = r
		}
	}
	got := map[change.Key]change.Row{}
	for _, r := range rows {
		k, err := l.table.RowKey(r)
		if err != nil {
			return err
		}
		got[k] = r
	}
	c.compare(want, got)
	for k := range l.held {
		if j.rng.Contains(k) {
			delete(l.held, k)
		}
	}
	for k, r := range got {
		l.held[k] = r
	}
	return nil
}

func (c *counts) add(j *job) {
	c.reads++
	c.rows += len(j.chunk.Rows)
	c.changes += len(j.changed)
}

func (c *counts) compare(want, got map[change.Key]change.Row) {
	diff := cmp.Diff(want, got, cmp.Comparer(func(a, b change.Value) bool { return a == b }))
	if diff == "" {
		return
	}
	c.wrong++
	if c.first == "" {
		c.first = diff
	}
}

// takeWhole covers a table without ranges, again and again: of what a destination holds, every key seen
// since begin stays, streamed ones too, the others go at end.
func (l *lab) takeWhole(ctx context.Context, r *Reader, p plan, c *counts, done func() bool) error {
	defer func() { l.seen = nil }()
	for !done() {
		l.seen = map[change.Key]bool{}
		var after change.Key
		for more := true; more; {
			j := &job{form: p.form, table: p.table, behind: l.lateness(p.late), window: NewWindow(p.table, change.WholeTable(), true, 1<<20)}
			err := l.round(ctx, []*job{j}, func(j *job, registered change.Position) (Chunk, error) {
				return r.ReadAfter(ctx, p.table, after, p.rows, registered)
			}, func(j *job) error { return l.emitPiece(j, c) })
			if err != nil {
				return err
			}
			after, more = j.chunk.Last, j.chunk.More
		}
		for k := range l.held {
			if !l.seen[k] {
				delete(l.held, k)
			}
		}
		c.compare(l.truth, l.held)
		c.passes++
	}
	return nil
}

// emitPiece compares the rows of a piece with the truth, and adds them to what the destination holds.
func (l *lab) emitPiece(j *job, c *counts) error {
	rows, err := j.content()
	if err != nil {
		return err
	}
	c.add(j)
	want, got := map[change.Key]change.Row{}, map[change.Key]change.Row{}
	for _, r := range rows {
		k, err := l.table.RowKey(r)
		if err != nil {
			return err
		}
		if got[k] = r; l.truth[k] != nil {
			want[k] = l.truth[k]
		}
		l.held[k], l.seen[k] = r, true
	}
	c.compare(want, got)
	return nil
}
