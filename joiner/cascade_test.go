package joiner_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/joiner/memstate"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// family is a view of children with their parents: SELECT c.id, c.parent, p.name FROM child c LEFT JOIN
// parent p ON p.id = c.parent.
type family struct {
	t             *testing.T
	parent, child *change.Table
	e             *joiner.Engine
	state         *memstate.State
	rows          map[change.Key]change.Row
	stats         joiner.Stats
}

func newFamily(t *testing.T, onDelete, onUpdate change.Action, left bool) *family {
	t.Helper()
	f := &family{t: t, state: memstate.New(), rows: map[change.Key]change.Row{}}
	f.parent = &change.Table{ID: change.TableID{DB: "db", Name: "parent"}, Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: intType}, {Name: "name", Type: textType, Nullable: true}, {Name: "unread", Type: intType, Nullable: true}}}
	f.child = &change.Table{ID: change.TableID{DB: "db", Name: "child"}, Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: intType}, {Name: "parent", Type: intType, Nullable: true}},
		ForeignKeys: []change.ForeignKey{{Name: "fk", Columns: []string{"PARENT"}, Parent: f.parent.ID, ParentBy: []string{"id"}, OnDelete: onDelete, OnUpdate: onUpdate}}}
	column := func(in int, t *change.Table, c int) view.Expr {
		return oracle.Column{In: in, Col: c, Name: t.Columns[c].Name, Ty: t.Columns[c].Type, Null: true}
	}
	p := &view.Plan{Name: "family",
		Inputs: []view.Input{
			{Alias: "c", Table: f.child, Columns: []int{0, 1}, Parent: -1},
			{Alias: "p", Table: f.parent, Columns: []int{0, 1}, Left: left, On: []view.Equality{{ParentColumn: 1, Column: 0, As: view.CompareSame}}},
		},
		Select: []view.Expr{column(0, f.child, 0), column(0, f.child, 1), column(1, f.parent, 1)},
		Output: &change.Table{ID: change.TableID{Name: "family"}, Key: []int{0}, Columns: []change.Column{
			{Name: "id", Type: intType}, {Name: "parent", Type: intType, Nullable: true}, {Name: "name", Type: textType, Nullable: true}}},
	}
	var err error
	if f.e, err = joiner.New([]*view.Plan{p}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *family) parentRow(id int64, name string) change.Row {
	return change.Row{change.IntValue(id), change.StringValue(name), change.IntValue(id)}
}

func (f *family) childRow(id, parent int64) change.Row {
	if parent == 0 {
		return change.Row{change.IntValue(id), change.NullValue()}
	}
	return change.Row{change.IntValue(id), change.IntValue(parent)}
}

func event(t *change.Table, before, after change.Row) change.Event {
	ev := change.Event{Table: t, Op: change.Update, Before: before, After: after}
	if before == nil {
		ev.Op = change.Insert
	} else if after == nil {
		ev.Op = change.Delete
	}
	return ev
}

// apply runs a batch and returns the view after it.
func (f *family) apply(evs ...change.Event) []string {
	f.t.Helper()
	b, err := f.e.Begin(f.state, joiner.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range evs {
		if err := b.Apply(&evs[i]); err != nil {
			f.t.Fatal(err)
		}
	}
	for o, err := range b.Outputs("family") {
		if err != nil {
			f.t.Fatal(err)
		}
		if o.Op == change.Delete {
			delete(f.rows, o.Key)
		} else {
			f.rows[o.Key] = o.After
		}
	}
	if err := b.Flush(f.state); err != nil {
		f.t.Fatal(err)
	}
	f.stats = b.Stats()
	var out []string
	for _, row := range f.rows {
		out = append(out, fmt.Sprint([]change.Value(row)))
	}
	slices.Sort(out)
	return out
}

func (f *family) want(got []string, want ...string) {
	f.t.Helper()
	if !cmp.Equal(got, want) {
		f.t.Errorf("the view is %q, want %q", got, want)
	}
	if f.stats.Mismatches != 0 {
		f.t.Errorf("%d before-images did not match", f.stats.Mismatches)
	}
}

func (f *family) fill() {
	f.apply(event(f.parent, nil, f.parentRow(1, "one")), event(f.parent, nil, f.parentRow(2, "two")),
		event(f.child, nil, f.childRow(10, 1)), event(f.child, nil, f.childRow(11, 1)), event(f.child, nil, f.childRow(12, 2)))
}

func TestCascadeSetNull(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	if want := []joiner.Cascade{{Child: f.child.ID, Parent: f.parent.ID, Key: "fk", Handled: true}}; !cmp.Equal(f.e.Cascades(), want) {
		t.Errorf("cascades %+v", f.e.Cascades())
	}
	f.fill()
	// A child moved away before, one attached after by its own event, in one transaction; the parent comes
	// back under its key, and its former children stay alone.
	got := f.apply(
		event(f.child, f.childRow(11, 1), f.childRow(11, 2)),
		event(f.parent, f.parentRow(1, "one"), nil),
		event(f.parent, nil, f.parentRow(1, "new")),
		event(f.child, nil, f.childRow(13, 1)))
	f.want(got, `[10 NULL NULL]`, `[11 2 "two"]`, `[12 2 "two"]`, `[13 1 "new"]`)
	if f.stats.Cascaded != 1 {
		t.Errorf("%d rows cascaded, want 1", f.stats.Cascaded)
	}
	// The child's later event carries what the server made of it.
	got = f.apply(event(f.child, f.childRow(10, 0), f.childRow(10, 2)))
	f.want(got, `[10 2 "two"]`, `[11 2 "two"]`, `[12 2 "two"]`, `[13 1 "new"]`)
}

func TestCascadeUpdate(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	f.fill()
	f.want(f.apply(event(f.parent, f.parentRow(1, "one"), f.parentRow(5, "five"))), `[10 5 "five"]`, `[11 5 "five"]`, `[12 2 "two"]`)

	// The same change as it travels: a delete and an insert that belong together.
	del, ins := event(f.parent, f.parentRow(5, "five"), nil), event(f.parent, nil, f.parentRow(6, "six"))
	del.Flags, ins.Flags = change.KeyMoved, change.KeyMoved
	f.want(f.apply(del, ins), `[10 6 "six"]`, `[11 6 "six"]`, `[12 2 "two"]`)

	// With foreign_key_checks off nothing followed.
	off := event(f.parent, f.parentRow(6, "six"), f.parentRow(7, "seven"))
	off.Flags = change.NoForeignKeys
	f.want(f.apply(off), `[10 6 NULL]`, `[11 6 NULL]`, `[12 2 "two"]`)
}

func TestCascadeDelete(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.Cascade, change.NoAction, true)
	f.fill()
	f.want(f.apply(event(f.parent, f.parentRow(1, "one"), nil)), `[12 2 "two"]`)
	if n := f.state.Len(0); n != 1 {
		t.Errorf("the state holds %d children, want 1", n)
	}
}

func TestLoggedCascadeIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.Cascade, change.Cascade, true)
	f.child.ForeignKeys[0].Logged = true
	var err error
	if f.e, err = joiner.New(plansOf(f)); err != nil {
		t.Fatal(err)
	}
	if f.e.Cascades() != nil {
		t.Errorf("cascades %+v", f.e.Cascades())
	}
	f.fill()
	f.want(f.apply(event(f.parent, f.parentRow(1, "one"), nil)), `[10 1 NULL]`, `[11 1 NULL]`, `[12 2 "two"]`)
}

func plansOf(f *family) []*view.Plan {
	return []*view.Plan{{Name: "family", Output: &change.Table{ID: change.TableID{Name: "family"}, Key: []int{0}, Columns: make([]change.Column, 3)},
		Inputs: []view.Input{
			{Alias: "c", Table: f.child, Columns: []int{0, 1}, Parent: -1},
			{Alias: "p", Table: f.parent, Columns: []int{0, 1}, Left: true, On: []view.Equality{{ParentColumn: 1, Column: 0, As: view.CompareSame}}},
		},
		Select: []view.Expr{oracle.Column{In: 0, Col: 0}, oracle.Column{In: 0, Col: 1}, oracle.Column{In: 1, Col: 1}}}}
}

func TestMovedKeyNeedsItsInsert(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	b, err := f.e.Begin(f.state, joiner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	del := event(f.parent, f.parentRow(5, "five"), nil)
	del.Flags = change.KeyMoved
	if err := b.Apply(&del); err != nil {
		t.Fatal(err)
	}
	other := event(f.child, nil, f.childRow(1, 1))
	if err := b.Apply(&other); err == nil {
		t.Error("another event between delete and insert of a moved key was accepted")
	}
}

func TestRepeatedEventIsHarmless(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	f.fill()
	want := []string{`[10 2 "two"]`, `[11 1 "one"]`, `[12 2 "two"]`}
	move := func() change.Event { return event(f.child, f.childRow(10, 1), f.childRow(10, 2)) }
	f.want(f.apply(move()), want...)
	if got := f.apply(move()); !cmp.Equal(got, want) {
		t.Errorf("after the repeated event the view is %q", got)
	}
	if f.stats.Mismatches != 1 {
		t.Errorf("%d mismatches, want 1", f.stats.Mismatches)
	}
}

func TestUnreadColumn(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	f.fill()
	after := f.parentRow(1, "one")
	after[2] = change.NullValue()
	f.apply(event(f.parent, f.parentRow(1, "one"), after))
	if f.stats.Unchanged != 1 {
		t.Errorf("unchanged %d, want 1", f.stats.Unchanged)
	}
	if row, err := f.state.Row(1, []byte(change.KeyOf(change.IntValue(1)))); err != nil || !row[2].IsAbsent() {
		t.Errorf("the state keeps %v, %v", row, err)
	}
}

func TestPartialImage(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	f.fill()
	partial := event(f.parent, f.parentRow(1, "one"), f.parentRow(1, ""))
	partial.After[1], partial.After[2] = change.AbsentValue(), change.NullValue()
	f.want(f.apply(partial), `[10 1 "one"]`, `[11 1 "one"]`, `[12 2 "two"]`)

	unknown := event(f.parent, f.parentRow(9, "x"), f.parentRow(9, ""))
	unknown.After[1] = change.AbsentValue()
	b, err := f.e.Begin(f.state, joiner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(&unknown); !errors.Is(err, joiner.ErrIncomplete) {
		t.Errorf("an event that lacks a value nobody has: %v", err)
	}
}

func TestShapeChanges(t *testing.T) {
	t.Parallel()
	f := newFamily(t, change.SetNull, change.Cascade, true)
	f.fill()
	wider := &change.Table{ID: f.parent.ID, Version: 2, Key: []int{1}, Columns: slices.Insert(slices.Clone(f.parent.Columns), 0, change.Column{Name: "new", Type: intType})}
	row := append(change.Row{change.IntValue(0)}, f.parentRow(1, "uno")...)
	f.want(f.apply(event(wider, append(change.Row{change.IntValue(0)}, f.parentRow(1, "one")...), row)), `[10 1 "uno"]`, `[11 1 "uno"]`, `[12 2 "two"]`)

	other := &change.Table{ID: f.parent.ID, Version: 3, Key: []int{0}, Columns: slices.Clone(f.parent.Columns)}
	other.Columns[1].Type = intType
	ev := event(other, nil, change.Row{change.IntValue(3), change.IntValue(3), change.NullValue()})
	b, err := f.e.Begin(f.state, joiner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(&ev); !errors.Is(err, joiner.ErrShape) {
		t.Errorf("a column of another type: %v", err)
	}
}
