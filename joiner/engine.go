// Package joiner maintains joins incrementally. It is pure: batches of changes and stored rows go in,
// changes of the views and of the state come out; there is no clock, no I/O of its own, no goroutine.
//
// A batch is folded into one net change per input row (an overlay over the state). Then, for each
// changed row, the joined tuples that contain it are enumerated twice by walking the join tree over
// narrow indexes: among the old rows (the state), giving what leaves the view, and among the new rows
// (state and overlay), giving what enters it. Both sides meet under the output key, which by
// construction names at most one tuple of a state: the difference is the view's net change. For a LEFT
// JOIN the null-extended tuples of the parents that a changed row matches, before or after, are
// enumerated as well. No intermediate result is ever stored. An update that cannot change which rows meet is
// walked once instead of twice (update.go).
//
// Delta queries over old and new state are the counting-free form of Gupta, Mumick and Subrahmanian,
// "Maintaining Views Incrementally" (SIGMOD 1993): the output key takes the place of counts. The treatment
// of outer joins follows Larson and Zhou, "Efficient Maintenance of Materialized Outer-Join Views" (ICDE
// 2007): the delta of the inner join, then the orphans that it makes and ends.
//
// An Engine and its batches belong to one goroutine.
package joiner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// Engine joins the inputs of a set of views.
type Engine struct {
	tables   []*table
	byID     map[change.TableID]*table
	indexes  []*index // stored ones, by number
	views    []*viewState
	byName   map[string]*viewState
	cascades []Cascade
	// watched are the foreign keys to tables that no view reads.
	watched   map[change.TableID][]*cascade
	childPage int
	loadStep  int
	memoAfter int
	memoSlots int
	stats     Stats
}

// Stats counts what the engine met; Batch.Stats has the counts of one batch.
type Stats struct {
	// Events applied, and of these such that touched no kept column.
	Events    int64
	Unchanged int64
	// Ignored events belong to tables that no view reads.
	Ignored int64
	// Mismatches are events whose before-image is not what the state held: repeated events, or a state
	// that was not true. The state after the event is right either way.
	Mismatches int64
	// Cascaded rows were changed because of a foreign key whose actions the server does not log.
	Cascaded int64
	// Spilled counts how often a batch outgrew its memory limit.
	Spilled int64
}

func (s *Stats) add(o Stats) {
	s.Events += o.Events
	s.Unchanged += o.Unchanged
	s.Ignored += o.Ignored
	s.Mismatches += o.Mismatches
	s.Cascaded += o.Cascaded
	s.Spilled += o.Spilled
}

// table is a table that at least one view reads.
type table struct {
	slot    int
	shape   *change.Table
	kept    []int // ascending
	dropped []int // the other columns
	keep    []bool
	indexes []*index // stored ones
	prefix  []*index // prefixes of the primary key that joins look up: these need no stored entries
	uses    []use
	// children are the foreign keys pointing here whose actions the engine must follow.
	children []*cascade
	// remaps holds, per other shape of the table that events came with, where each column is found.
	remaps map[*change.Table][]int
}

// use is one reference to a table in FROM.
type use struct{ view, input int }

// index finds rows of a table by the values of some columns.
type index struct {
	slot    int // number among the stored indexes; -1 of a prefix of the primary key
	place   int // in overlay.added
	table   *table
	name    string
	columns []int
	as      []view.Comparison
}

// viewState is a plan made ready for enumeration.
type viewState struct {
	number int
	plan   *view.Plan
	inputs []inputState
	scan   []scanGroup
	// idle are walkers that no batch uses.
	idle []*walker
}

type inputState struct {
	table  *table
	plan   *view.Input
	parent int
	down   access // this input's rows, given the parent's row
	up     access // the parent's rows, given this input's row
	edges  []int  // columns that joins compare, repeated where several do
	// selects says of each output column whether it reads this input.
	selects []bool
}

// access is one way to find the rows of a table that match a row at the other end of a join edge.
type access struct {
	table *table
	from  []int // columns of the given row, one for each column of the index
	// whole: index.columns is the whole primary key, so that there is at most one row.
	whole bool
	index *index
}

// New prepares an engine for the plans. Tables are matched by their id; plans must agree on a table's shape.
func New(plans []*view.Plan) (*Engine, error) {
	e := &Engine{byID: map[change.TableID]*table{}, byName: map[string]*viewState{}, childPage: childPage, loadStep: loadStep, memoAfter: memoAfter, memoSlots: memoSlots}
	for _, p := range plans {
		if e.byName[p.Name] != nil {
			return nil, fmt.Errorf("prepare view %s: there are two views of this name", p.Name)
		}
		v := &viewState{number: len(e.views), plan: p}
		if err := e.addTables(v); err != nil {
			return nil, fmt.Errorf("prepare view %s: %w", p.Name, err)
		}
		e.views = append(e.views, v)
		e.byName[p.Name] = v
	}
	for _, v := range e.views {
		e.addEdges(v)
	}
	e.addCascades()
	e.finish()
	for _, v := range e.views {
		v.scan = e.scanGroups(v)
		for i := range v.inputs {
			for _, x := range v.plan.Select {
				v.inputs[i].selects = append(v.inputs[i].selects, view.Reads(x, i))
			}
		}
	}
	return e, nil
}

func (e *Engine) addTables(v *viewState) error {
	for i := range v.plan.Inputs {
		in := &v.plan.Inputs[i]
		if len(in.Table.Key) == 0 {
			return fmt.Errorf("table %s has no primary key", in.Table.ID)
		}
		if i > 0 && (in.Parent < 0 || in.Parent >= i || len(in.On) == 0) {
			return fmt.Errorf("input %s joins no input before it", in.Alias)
		}
		t := e.byID[in.Table.ID]
		switch {
		case t == nil:
			t = &table{slot: len(e.tables), shape: in.Table, keep: make([]bool, len(in.Table.Columns)), remaps: map[*change.Table][]int{}}
			e.tables = append(e.tables, t)
			e.byID[in.Table.ID] = t
		case !t.shape.SameShape(in.Table):
			return fmt.Errorf("table %s has another shape than in the views before", in.Table.ID)
		}
		for _, c := range slices.Concat(in.Columns, in.Table.Key) {
			t.keep[c] = true
		}
		t.uses = append(t.uses, use{v.number, i})
		v.inputs = append(v.inputs, inputState{table: t, plan: in, parent: in.Parent})
	}
	return nil
}

// addEdges finds, for both directions of each join edge, how rows are looked up.
func (e *Engine) addEdges(v *viewState) {
	for i := 1; i < len(v.inputs); i++ {
		in := &v.inputs[i]
		parent := &v.inputs[in.parent]
		var here, there []int
		var as []view.Comparison
		exact := true
		for _, on := range in.plan.On {
			here, there, as = append(here, on.Column), append(there, on.ParentColumn), append(as, on.As)
			in.edges, parent.edges = append(in.edges, on.Column), append(parent.edges, on.ParentColumn)
			in.table.keep[on.Column], parent.table.keep[on.ParentColumn] = true, true
			exact = exact && on.As == view.CompareSame
		}
		in.down = e.access(in.table, here, there, as, exact)
		in.up = e.access(parent.table, there, here, as, exact)
	}
}

func (e *Engine) access(t *table, columns, from []int, as []view.Comparison, exact bool) access {
	if exact {
		if a, ok := t.keyAccess(columns, from, as); ok {
			return a
		}
	}
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	// One order for all edges over the same columns, so that they share the index.
	slices.SortStableFunc(order, func(a, b int) int { return columns[a] - columns[b] })
	x := &index{slot: -1, table: t}
	a := access{table: t}
	for _, i := range order {
		x.columns, x.as = append(x.columns, columns[i]), append(x.as, as[i])
		a.from = append(a.from, from[i])
	}
	x.name = x.signature()
	for _, have := range t.indexes {
		if have.name == x.name {
			a.index = have
			return a
		}
	}
	t.indexes = append(t.indexes, x)
	a.index = x
	return a
}

// keyAccess uses the primary key's own order when the columns are exactly its first ones.
func (t *table) keyAccess(columns, from []int, as []view.Comparison) (access, bool) {
	if len(columns) > len(t.shape.Key) {
		return access{}, false
	}
	a := access{table: t, whole: len(columns) == len(t.shape.Key)}
	x := &index{slot: -1, table: t, columns: t.shape.Key[:len(columns)]}
	for _, k := range x.columns {
		i := slices.Index(columns, k)
		if i < 0 {
			return access{}, false
		}
		a.from, x.as = append(a.from, from[i]), append(x.as, as[i])
	}
	a.index = x
	for _, have := range t.prefix {
		if len(have.columns) == len(x.columns) {
			a.index = have
			return a, true
		}
	}
	t.prefix = append(t.prefix, x)
	return a, true
}

// signature names the index by what decides its content: columns with their types' kinds, and comparisons.
func (x *index) signature() string {
	var b strings.Builder
	for i, c := range x.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		col := x.table.shape.Columns[c]
		fmt.Fprintf(&b, "%s:%s:%v", strings.ToLower(col.Name), col.Type.Kind, x.as[i])
	}
	return b.String()
}

// finish numbers the indexes and lists the columns to keep.
func (e *Engine) finish() {
	for _, t := range e.tables {
		for c, keep := range t.keep {
			if keep {
				t.kept = append(t.kept, c)
			} else {
				t.dropped = append(t.dropped, c)
			}
		}
		for _, x := range t.indexes {
			x.slot = len(e.indexes)
			e.indexes = append(e.indexes, x)
		}
		for i, x := range slices.Concat(t.indexes, t.prefix) {
			x.place = i
		}
	}
}

// Tables says what the state must keep; the place in the slice is the table's number.
func (e *Engine) Tables() []Table {
	ts := make([]Table, 0, len(e.tables))
	for _, t := range e.tables {
		n := Table{Shape: t.shape, Columns: slices.Clone(t.kept)}
		for _, x := range t.indexes {
			n.Indexes = append(n.Indexes, x.name)
		}
		ts = append(ts, n)
	}
	return ts
}

// Reads reports whether a view reads the table.
func (e *Engine) Reads(id change.TableID) bool { return e.byID[id] != nil }

// ViewsOf names the views that read the table, in the order given to New.
func (e *Engine) ViewsOf(id change.TableID) []string {
	t := e.byID[id]
	if t == nil {
		return nil
	}
	var names []string
	for _, u := range t.uses {
		if n := e.views[u.view].plan.Name; !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// TablesOf lists the tables that the view reads.
func (e *Engine) TablesOf(name string) []change.TableID {
	v := e.byName[name]
	if v == nil {
		return nil
	}
	var ids []change.TableID
	for _, in := range v.inputs {
		if !slices.Contains(ids, in.table.shape.ID) {
			ids = append(ids, in.table.shape.ID)
		}
	}
	return ids
}

// Stats returns the counts of all batches so far whose state was written.
func (e *Engine) Stats() Stats { return e.stats }
