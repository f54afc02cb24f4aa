package joiner_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// world is a random schema with views over it.
type world struct {
	r      *rand.Rand
	shapes []*change.Table
	plans  []*view.Plan
	// draw, if set, draws the values.
	draw func(*rand.Rand, change.Column) change.Value
}

func newWorld(r *rand.Rand) *world {
	w := &world{r: r}
	for i := range 1 + r.Intn(4) {
		w.shapes = append(w.shapes, w.shape(i))
	}
	w.foreignKeys()
	for i := range 1 + r.Intn(2) {
		w.plans = append(w.plans, w.plan(fmt.Sprintf("v%d", i)))
	}
	return w
}

var (
	intType  = change.Type{Kind: change.Int, Name: "int"}
	uintType = change.Type{Kind: change.Uint, Name: "int", Unsigned: true}
	textType = change.Type{Kind: change.String, Name: "varchar", Length: 20, Charset: "utf8mb4", Collation: "utf8mb4_bin"}
	ciType   = change.Type{Kind: change.String, Name: "varchar", Length: 20, Charset: "utf8mb4", Collation: "utf8mb4_general_ci"}
	blobType = change.Type{Kind: change.Bytes, Name: "varbinary", Length: 20, Collation: "binary"}
)

// shape makes a table whose columns have small domains, so that joins match.
func (w *world) shape(i int) *change.Table {
	t := &change.Table{ID: change.TableID{DB: "db", Name: fmt.Sprintf("t%d", i)}, Version: 1}
	keys := 1 + w.r.Intn(2)
	for k := range keys + 2 + w.r.Intn(3) {
		types := []change.Type{intType, intType, intType, uintType, blobType, textType, ciType}
		if k < keys {
			types = []change.Type{intType, intType, uintType, blobType}
		}
		t.Columns = append(t.Columns, change.Column{Name: fmt.Sprintf("c%d", k), Type: types[w.r.Intn(len(types))], Nullable: k >= keys})
		if k < keys {
			t.Key = append(t.Key, k)
		}
	}
	if w.r.Intn(3) == 0 {
		slices.Reverse(t.Key)
	}
	return t
}

// foreignKeys lets some int columns refer to the first key column of single-keyed tables that come later,
// so that actions have no cycles.
func (w *world) foreignKeys() {
	for i, t := range w.shapes {
		for _, p := range w.shapes[i+1:] {
			if len(p.Key) != 1 || w.r.Intn(2) == 0 {
				continue
			}
			for c := range t.Columns {
				if !t.Columns[c].Type.Equal(p.Columns[p.Key[0]].Type) || len(t.ForeignKeys) > 0 && t.ForeignKeys[0].Columns[0] == t.Columns[c].Name {
					continue
				}
				actions := []change.Action{change.NoAction, change.Cascade, change.SetNull}
				if t.IsKey(c) {
					actions = actions[:2]
				}
				fk := change.ForeignKey{Name: "fk", Columns: []string{t.Columns[c].Name}, Parent: p.ID, ParentBy: []string{p.Columns[p.Key[0]].Name},
					OnDelete: actions[w.r.Intn(len(actions))], OnUpdate: actions[w.r.Intn(len(actions))]}
				if t.IsKey(c) {
					fk.OnUpdate = change.NoAction // moved keys could collide, which a server would refuse
				}
				t.ForeignKeys = append(t.ForeignKeys, fk)
				break
			}
		}
	}
}

func (w *world) plan(name string) *view.Plan {
	p := &view.Plan{Name: name, Hash: name}
	for range 1 + w.r.Intn(5) {
		w.addInput(p, len(p.Inputs))
	}
	if w.r.Intn(4) == 0 {
		p.Where = w.condition(p, 0, len(p.Inputs))
	}
	p.Output = &change.Table{ID: change.TableID{Name: name}}
	order := w.r.Perm(len(p.Inputs))
	if w.r.Intn(2) == 0 {
		slices.Sort(order)
	}
	for _, i := range order {
		if !w.determined(p, i) {
			for _, c := range p.Inputs[i].Table.Key {
				p.Output.Key = append(p.Output.Key, len(p.Select))
				w.selectColumn(p, i, c)
			}
		}
	}
	for range w.r.Intn(4) {
		i := w.r.Intn(len(p.Inputs))
		w.selectColumn(p, i, w.r.Intn(len(p.Inputs[i].Table.Columns)))
	}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		in.Columns = append(in.Columns, in.Table.Key...)
		slices.Sort(in.Columns)
		in.Columns = slices.Compact(in.Columns)
	}
	return p
}

// determined reports whether input i has at most one row for its parent's row.
func (w *world) determined(p *view.Plan, i int) bool {
	if i == 0 {
		return false
	}
	in := &p.Inputs[i]
	for _, k := range in.Table.Key {
		if !slices.ContainsFunc(in.On, func(q view.Equality) bool { return q.Column == k && q.As == view.CompareSame }) {
			return false
		}
	}
	return true
}

func (w *world) selectColumn(p *view.Plan, i, c int) {
	p.Output.Columns = append(p.Output.Columns, change.Column{Name: fmt.Sprintf("o%d", len(p.Select)), Type: p.Inputs[i].Table.Columns[c].Type, Nullable: true})
	p.Select = append(p.Select, w.column(p, i, c))
}

func (w *world) column(p *view.Plan, i, c int) view.Expr {
	in := &p.Inputs[i]
	in.Columns = append(in.Columns, c)
	return oracle.Column{In: i, Col: c, Name: in.Alias + "." + in.Table.Columns[c].Name, Ty: in.Table.Columns[c].Type, Null: true}
}

func (w *world) addInput(p *view.Plan, i int) {
	for {
		in := view.Input{Alias: fmt.Sprintf("a%d", i), Table: w.shapes[w.r.Intn(len(w.shapes))], Parent: -1}
		if i > 0 {
			in.Parent = w.r.Intn(i)
			if in.On = w.equalities(p.Inputs[in.Parent].Table, in.Table); in.On == nil {
				if w.r.Intn(20) == 0 {
					return
				}
				continue
			}
			for _, q := range in.On {
				in.Columns = append(in.Columns, q.Column)
				p.Inputs[in.Parent].Columns = append(p.Inputs[in.Parent].Columns, q.ParentColumn)
			}
			in.Left = w.r.Intn(3) == 0
		}
		p.Inputs = append(p.Inputs, in)
		at := len(p.Inputs) - 1
		if at > 0 && w.r.Intn(4) == 0 {
			p.Inputs[at].OnFilter = w.condition(p, 0, at+1)
		}
		if !in.Left && w.r.Intn(5) == 0 {
			p.Inputs[at].Filter = w.condition(p, at, at+1)
		}
		return
	}
}

func (w *world) equalities(parent, child *change.Table) []view.Equality {
	var all []view.Equality
	for a, x := range parent.Columns {
		for b, y := range child.Columns {
			if as := comparison(x.Type, y.Type); as != 0 {
				all = append(all, view.Equality{ParentColumn: a, Column: b, As: as})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	// Prefer joins onto keys and onto the first columns.
	w.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	n := 1 + w.r.Intn(2)
	var pick []view.Equality
	for _, q := range all {
		if len(pick) < n && !slices.ContainsFunc(pick, func(o view.Equality) bool { return o.Column == q.Column }) {
			pick = append(pick, q)
		}
	}
	return pick
}

func comparison(a, b change.Type) view.Comparison {
	switch {
	case a.Kind == b.Kind && a.Kind != change.String:
		return view.CompareSame
	case a.Kind == change.Int && b.Kind == change.Uint, a.Kind == change.Uint && b.Kind == change.Int:
		return view.CompareNumber
	case a.Kind != b.Kind || a.Collation != b.Collation:
		return 0
	case a.Collation == "utf8mb4_bin":
		return view.ComparePadded
	}
	return view.CompareGeneralCI
}

// condition compares two columns, or a column and a constant, of inputs from..to-1.
func (w *world) condition(p *view.Plan, from, to int) view.Expr {
	pick := func() view.Expr {
		i := from + w.r.Intn(to-from)
		return w.column(p, i, w.r.Intn(len(p.Inputs[i].Table.Columns)))
	}
	args := []view.Expr{pick(), pick()}
	kind := w.r.Intn(4)
	return oracle.Func{Name: fmt.Sprintf("cond%d", kind), Ty: intType, Args: args, F: func(v []change.Value) (change.Value, error) {
		truth := false
		switch kind {
		case 0: // IS NULL
			truth = v[0].IsNull()
		case 1: // IS NOT NULL
			truth = !v[0].IsNull()
		default:
			if v[0].IsNull() || v[1].IsNull() {
				return change.NullValue(), nil
			}
			truth = kind == 2 && v[0].String() <= v[1].String() || kind == 3 && v[0] != v[1]
		}
		if truth {
			return change.IntValue(1), nil
		}
		return change.IntValue(0), nil
	}}
}

// value draws from a small domain.
func (w *world) value(c change.Column) change.Value {
	if w.draw != nil {
		return w.draw(w.r, c)
	}
	if c.Nullable && w.r.Intn(4) == 0 {
		return change.NullValue()
	}
	n := w.r.Intn(5)
	switch c.Type.Kind {
	case change.Int:
		return change.IntValue(int64(n) - 1)
	case change.Uint:
		return change.UintValue(uint64(n))
	case change.Bytes:
		return change.BytesValue([]byte{"\x00ab"[n%3], 0, byte(n)}[:1+n%3])
	}
	return change.StringValue([]string{"a", "A", "b", "b ", ""}[n])
}

func (w *world) row(t *change.Table) change.Row {
	row := make(change.Row, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = w.value(c)
	}
	return row
}

// statement changes something in the source.
func (w *world) statement(s *oracle.Source) {
	t := w.shapes[w.r.Intn(len(w.shapes))]
	var flags change.Flags
	if w.r.Intn(10) == 0 {
		flags = change.NoForeignKeys
	}
	keys := make([]change.Key, 0, len(s.Rows[t.ID]))
	for k := range s.Rows[t.ID] {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(keys) == 0 || w.r.Intn(10) < 4 {
		s.Put(t, "", w.row(t), flags)
		return
	}
	key := keys[w.r.Intn(len(keys))]
	switch x := w.r.Intn(10); {
	case x < 3:
		s.Delete(t, key, flags)
	default:
		row := s.Rows[t.ID][key].Clone()
		for range 1 + w.r.Intn(2) {
			c := w.r.Intn(len(row))
			if t.IsKey(c) && x < 7 {
				continue
			}
			row[c] = w.value(t.Columns[c])
		}
		s.Put(t, key, row, flags)
	}
}

// describe prints the world for a failing test.
func (w *world) describe() string {
	var b strings.Builder
	for _, t := range w.shapes {
		fmt.Fprintf(&b, "table %s key %v:", t.ID.Name, t.Key)
		for _, c := range t.Columns {
			fmt.Fprintf(&b, " %s %s", c.Name, c.Type.Kind)
		}
		fmt.Fprintf(&b, " fks %+v\n", t.ForeignKeys)
	}
	for _, p := range w.plans {
		fmt.Fprintf(&b, "view %s key %v select %v where %v\n", p.Name, p.Output.Key, p.Select, p.Where)
		for i, in := range p.Inputs {
			fmt.Fprintf(&b, "  %d %s %s parent %d left %v on %v onfilter %v filter %v columns %v\n", i, in.Alias, in.Table.ID.Name, in.Parent, in.Left, in.On, in.OnFilter, in.Filter, in.Columns)
		}
	}
	return b.String()
}
