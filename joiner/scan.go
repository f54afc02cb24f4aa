package joiner

import (
	"fmt"
	"iter"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// ScanOptions bound a chunk.
type ScanOptions struct {
	// Rows is about how many rows a chunk has; a chunk ends only where the key of the scanned input
	// changes, so one may have more. 0 is 10,000.
	Rows int
	// Limit and Scratch are as in Options: they hold a chunk that is larger than memory.
	Limit   int
	Scratch func() (Scratch, error)
}

// Chunk is the exact content of a range of a view's output keys, as the state stands.
type Chunk struct {
	// Range begins where the range asked for begins. Rows have been left for a next chunk unless it also
	// ends there: then Last is set.
	Range change.KeyRange
	Last  bool
	b     *Batch
	v     *viewState
}

// Rows yields the chunk's rows, sorted by key, once.
func (c *Chunk) Rows() iter.Seq2[Output, error] {
	return func(yield func(Output, error) bool) {
		read := func(o Output, err error) bool {
			o.Op = change.Read
			return yield(o, err)
		}
		if c.b.spilledView(c.v) {
			c.b.spilledOutputs(c.v, read)
			return
		}
		c.b.yieldSorted(c.v, read)
	}
}

// Close drops the chunk.
func (c *Chunk) Close() error { return c.b.Close() }

// scanGroup is a run of output key columns that are the first columns of one input's primary key, in its
// order: scanning the input in key order gives the view in the order of these columns.
type scanGroup struct {
	input int
	size  int // in columns
	types []change.Type
	// nullable: the input may be missing from a tuple, and its key columns are NULL then.
	nullable bool
}

// A view is scanned in phases. Phase p covers the keys whose first p groups are all NULL and whose next
// group is not, by an ordered scan of that group's input; NULL sorts first, so the deepest phase comes
// first. Where all groups are nullable, or there is none, the deepest phase has no input to order by: it
// scans the first input as a whole, and is one chunk. Each phase begins where the one before it ends, the
// first before every key, the last after every key: there is no gap.

// scanGroups finds the groups, up to the first that is never NULL.
func (e *Engine) scanGroups(v *viewState) []scanGroup {
	same := sameColumns(v)
	forced := make([]bool, len(v.inputs)) // never NULL in a joined tuple
	forced[0] = true
	for k := len(v.inputs) - 1; k > 0; k-- {
		if !v.inputs[k].plan.Left || forced[k] {
			forced[k], forced[v.inputs[k].parent] = true, true
		}
	}
	key := v.plan.Output.Key
	var groups []scanGroup
	for at := 0; at < len(key); {
		g := scanGroup{}
		for i := range v.inputs {
			if n := keyRun(v, same, key[at:], i); n > g.size {
				g = scanGroup{input: i, size: n, nullable: !forced[i]}
			}
		}
		if g.size == 0 {
			return groups
		}
		t := v.inputs[g.input].table.shape
		g.types = t.KeyTypes()[:g.size]
		groups = append(groups, g)
		if !g.nullable {
			return groups
		}
		at += g.size
	}
	return groups
}

type columnRef struct{ input, column int }

// keyRun returns how many of the output key columns are, in order, the first key columns of input i.
func keyRun(v *viewState, same map[columnRef]columnRef, key []int, i int) int {
	t := v.inputs[i].table.shape
	n := 0
	for n < len(key) && n < len(t.Key) {
		x, ok := v.plan.Select[key[n]].(interface{ Source() (input, column int) })
		if !ok {
			break
		}
		in, col := x.Source()
		if root(same, columnRef{in, col}) != root(same, columnRef{i, t.Key[n]}) {
			break
		}
		n++
	}
	return n
}

// sameColumns joins the columns that hold identical values in every tuple, because an inner join
// compares them without conversion.
func sameColumns(v *viewState) map[columnRef]columnRef {
	same := map[columnRef]columnRef{}
	for i, in := range v.inputs {
		if i == 0 || in.plan.Left {
			continue
		}
		for _, on := range in.plan.On {
			if on.As == view.CompareSame {
				same[root(same, columnRef{i, on.Column})] = root(same, columnRef{in.parent, on.ParentColumn})
			}
		}
	}
	return same
}

func root(same map[columnRef]columnRef, c columnRef) columnRef {
	for {
		up, ok := same[c]
		if !ok || up == c {
			return c
		}
		c = up
	}
}

// phase is a part of a view's key space: keys that begin with nulls, then a value that is not NULL.
type phase struct {
	nulls string // the encoding of the groups that are NULL
	group *scanGroup
}

func (v *viewState) phases() []phase {
	var ps []phase
	nulls := ""
	for i := range v.scan {
		ps = append(ps, phase{nulls, &v.scan[i]})
		for range v.scan[i].size {
			nulls += string(change.KeyOf(change.NullValue()))
		}
	}
	if n := len(v.scan); n == 0 || v.scan[n-1].nullable {
		ps = append(ps, phase{nulls, nil})
	}
	return ps
}

// start is the first possible key of the phase, for all but the deepest one.
func (p phase) start() change.Key { return change.Key(p.nulls + "\x01") }

// meets reports whether keys that begin with the phase's NULLs can lie in the range.
func (p phase) meets(r change.KeyRange) bool {
	above := r.HasLo && string(r.Lo) > p.nulls && !strings.HasPrefix(string(r.Lo), p.nulls)
	return !above && (!r.HasHi || string(r.Hi) > p.nulls)
}

// Scan evaluates the first chunk of what r covers of the view, from the state alone. Covering a range is
// calling Scan again with r.Lo set to the chunk's Range.Hi until Last. The state must not change until
// the chunk is closed.
func (e *Engine) Scan(s State, name string, r change.KeyRange, o ScanOptions) (*Chunk, error) {
	v := e.byName[name]
	if v == nil {
		return nil, fmt.Errorf("scan view: there is no view %s", name)
	}
	b, err := e.Begin(s, Options{Emit: []string{}, Limit: o.Limit, Scratch: o.Scratch})
	if err != nil {
		return nil, err
	}
	if o.Rows <= 0 {
		o.Rows = 10_000
	}
	sc := &scanner{b: b, v: v, r: r, limit: o.Rows}
	if err := sc.run(); err != nil {
		return nil, closeAfter(b, fmt.Errorf("scan view %s: %w", name, err))
	}
	return &Chunk{Range: sc.r, Last: sc.last, b: b, v: v}, nil
}

func closeAfter(b *Batch, err error) error {
	if cerr := b.Close(); cerr != nil {
		return fmt.Errorf("%w (and: %w)", err, cerr)
	}
	return err
}

// scanner evaluates one chunk; r shrinks to what the chunk covers.
type scanner struct {
	b       *Batch
	v       *viewState
	r       change.KeyRange
	limit   int
	last    bool
	rows    int // emitted
	scanned int
	group   string // key bytes of the group at hand
}

func (sc *scanner) run() error {
	ps := sc.v.phases()
	i := len(ps) - 1
	for i > 0 && sc.r.HasLo && sc.r.Lo >= ps[i-1].start() {
		i--
	}
	p := ps[i]
	asked := sc.r
	if i > 0 && (!asked.HasHi || asked.Hi > ps[i-1].start()) {
		sc.r.Hi, sc.r.HasHi = ps[i-1].start(), true
	}
	if err := sc.walk(p); err != nil {
		return err
	}
	sc.last = sc.r.HasHi == asked.HasHi && sc.r.Hi == asked.Hi
	return nil
}

// walk enumerates the tuples of the phase that can have keys in the range.
func (sc *scanner) walk(p phase) error {
	w := sc.b.walker(sc.v)
	w.emit = func() error { return sc.collect(w) }
	if !p.meets(sc.r) {
		return nil
	}
	input, lo, hi := 0, []byte(nil), []byte(nil)
	if p.group != nil {
		input = p.group.input
		lo, hi = sc.bounds(p)
	}
	var failed error
	err := sc.b.state.Rows(sc.v.inputs[input].table.slot, lo, hi, func(key []byte, row change.Row) bool {
		if p.group != nil && sc.full(p, key) {
			return false
		}
		if failed = w.through(input, row, lookNew); failed == nil {
			failed = sc.b.spillOutputsIfFull(sc.v)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

// bounds returns the part of the phase's input that can hold keys of the range.
func (sc *scanner) bounds(p phase) (lo, hi []byte) {
	if rest, found := strings.CutPrefix(string(sc.r.Lo), p.nulls); sc.r.HasLo && found {
		lo = []byte(sc.prefixOf(p, rest))
	}
	if rest, found := strings.CutPrefix(string(sc.r.Hi), p.nulls); sc.r.HasHi && found && rest != "" {
		hi = []byte(rest)
		if g := sc.prefixOf(p, rest); g != rest {
			hi = prefixEnd(nil, []byte(g)) // rows of the bound's own group may have keys below it
		}
	}
	return lo, hi
}

// prefixOf cuts an output key, from the group on, down to the group; a shorter one stays as it is.
func (sc *scanner) prefixOf(p phase, rest string) string {
	_, tail, err := change.DecodeKeyPrefix(change.Key(rest), p.group.types)
	if err != nil {
		return rest
	}
	return rest[:len(rest)-len(tail)]
}

// full ends the chunk before a new group once enough was gathered or looked at.
func (sc *scanner) full(p phase, key []byte) bool {
	sc.scanned++
	if sc.rows < sc.limit && sc.scanned <= 8*sc.limit {
		return false
	}
	g := sc.prefixOf(p, string(key))
	if sc.group == "" || g == sc.group {
		sc.group = g
		return false
	}
	sc.r.Hi, sc.r.HasHi = change.Key(p.nulls+g), true
	return true
}

func (sc *scanner) collect(w *walker) error {
	row := sc.b.arena.row(len(sc.v.plan.Select))
	key, problem, err := sc.b.project(w, row, nil)
	if err != nil {
		return err
	}
	if !sc.r.Contains(change.Key(key)) {
		return nil
	}
	p := sc.b.acc.at(key, sc.b.arena.text)
	if !p.new.set {
		sc.rows++
		sc.b.acc.bytes += row.MemSize()
	}
	p.new = side{row: row, problem: problem, set: true}
	return nil
}
