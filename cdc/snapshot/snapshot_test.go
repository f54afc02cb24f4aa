package snapshot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

func keyed(types ...change.Type) *change.Table {
	t := &change.Table{ID: change.TableID{DB: "d", Name: "t"}}
	for i, ty := range types {
		t.Columns = append(t.Columns, change.Column{Name: string(rune('a' + i)), Type: ty})
		t.Key = append(t.Key, i)
	}
	t.Columns = append(t.Columns, change.Column{Name: "v", Type: change.Type{Kind: change.Int}})
	return t
}

var (
	intType = change.Type{Kind: change.Int, Name: "int"}
	padType = change.Type{Kind: change.String, Name: "varchar", Collation: "utf8mb4_bin"}
	decType = change.Type{Kind: change.Decimal, Name: "decimal", Precision: 8, Scale: 2}
)

func TestOrderedPrefix(t *testing.T) {
	for _, c := range []struct {
		table *change.Table
		want  int
	}{
		{keyed(intType, decType), 2},
		{keyed(intType, padType, intType), 1},
		{keyed(change.Type{Kind: change.String, Collation: "utf8mb4_0900_ai_ci"}), 0},
		{keyed(change.Type{Kind: change.String, Collation: "utf8mb4_0900_bin"}), 1},
		{keyed(change.Type{Kind: change.String, Name: "enum", Collation: "utf8mb4_0900_bin"}), 0},
		{keyed(change.Type{Kind: change.Bytes, Name: "varbinary"}), 1},
	} {
		if got := OrderedPrefix(c.table); got != c.want {
			t.Errorf("%+v: %d, want %d", c.table.KeyTypes(), got, c.want)
		}
	}
}

func TestRangeCondition(t *testing.T) {
	tab := keyed(intType, decType)
	k := func(vs ...change.Value) change.Key { return change.KeyOf(vs...) }
	for _, c := range []struct {
		r    change.KeyRange
		sql  string
		args []any
	}{
		{change.WholeTable(), "TRUE", nil},
		{change.KeyRange{HasLo: true}, "TRUE", nil},
		{change.KeyRange{HasHi: true}, "FALSE", nil},
		{change.KeyRange{HasLo: true, Lo: k(change.IntValue(3)), HasHi: true, Hi: k(change.IntValue(7), change.DecimalValue("1.50"))},
			"`a` >= ? AND (`a` < ? OR (`a` = ? AND `b` < CAST(? AS DECIMAL(8,2))))", []any{int64(3), int64(7), int64(7), "1.50"}},
	} {
		got, err := rangeCondition(tab, c.r)
		if err != nil {
			t.Fatal(err)
		}
		if got.sql != c.sql {
			t.Errorf("got  %s\nwant %s", got.sql, c.sql)
		}
		if diff := cmp.Diff(c.args, got.args); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := rangeCondition(tab, change.KeyRange{HasLo: true, Lo: "\x77"}); err == nil {
		t.Error("a bound that is no key is accepted")
	}
}

func TestOwnedSet(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "u1:5#12:6#13": "u1:5:6", "u1:5#12,\nu2:tag:1#9": "u1:5,u2:tag:1",
	} {
		if got := ownedSet(in); got != want {
			t.Errorf("ownedSet(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		f1   string
		o1   uint64
		f2   string
		o2   uint64
		want bool
	}{
		{"binlog.000009", 100, "binlog.000010", 4, true}, {"binlog.999999", 1, "binlog.1000000", 1, true},
		{"binlog.000010", 4, "binlog.000010", 4, false}, {"binlog.000010", 3, "binlog.000010", 4, true},
	} {
		if got := before(c.f1, c.o1, c.f2, c.o2); got != c.want {
			t.Errorf("%s:%d before %s:%d = %t", c.f1, c.o1, c.f2, c.o2, got)
		}
	}
}

func row(k, v int64) change.Row { return change.Row{change.IntValue(k), change.IntValue(v)} }

// TestRollForward: whatever place between registration and High the read saw, rolling all kept changes
// forward gives the content at the boundary (the race of a key inserted, moved or deleted inside the window).
func TestRollForward(t *testing.T) {
	tab := keyed(intType)
	rng := change.KeyRange{HasLo: true, Lo: change.KeyOf(change.IntValue(2)), HasHi: true, Hi: change.KeyOf(change.IntValue(6))}
	rapid.Check(t, func(rt *rapid.T) {
		state := map[int64]int64{}
		for k := range int64(8) {
			if rapid.Bool().Draw(rt, "there") {
				state[k] = 0
			}
		}
		w := NewWindow(tab, rng, false, 1000)
		n := rapid.IntRange(0, 12).Draw(rt, "changes")
		seenAt := rapid.IntRange(0, n).Draw(rt, "seenAt")
		var read []change.Row
		look := func() {
			for k := int64(2); k < 6; k++ {
				if v, ok := state[k]; ok {
					read = append(read, row(k, v))
				}
			}
		}
		for i := range n {
			if i == seenAt {
				look()
			}
			k, to := rapid.Int64Range(0, 7).Draw(rt, "k"), rapid.Int64Range(0, 7).Draw(rt, "to")
			ev := change.Event{Table: tab}
			v, has := state[k]
			_, taken := state[to]
			switch {
			case has && !taken: // the key moves
				ev.Op, ev.Before, ev.After = change.Update, row(k, v), row(to, int64(i+1))
				delete(state, k)
				state[to] = int64(i + 1)
			case has && rapid.Bool().Draw(rt, "delete"):
				ev.Op, ev.Before = change.Delete, row(k, v)
				delete(state, k)
			case has:
				ev.Op, ev.Before, ev.After = change.Update, row(k, v), row(k, int64(i+1))
				state[k] = int64(i + 1)
			default:
				ev.Op, ev.After = change.Insert, row(k, int64(i+1))
				state[k] = int64(i + 1)
			}
			if err := w.Note(&ev); err != nil {
				rt.Fatal(err)
			}
		}
		if seenAt == n {
			look()
		}
		got, err := w.Roll(read)
		if err != nil {
			rt.Fatal(err)
		}
		var want []change.Row
		for k := int64(2); k < 6; k++ {
			if v, ok := state[k]; ok {
				want = append(want, row(k, v))
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b change.Value) bool { return a == b })); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestWindowGivesUp(t *testing.T) {
	tab := keyed(intType)
	w := NewWindow(tab, change.WholeTable(), false, 2)
	for i := range int64(3) {
		if err := w.Note(&change.Event{Table: tab, Op: change.Insert, After: row(i, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Spoiled(); !strings.Contains(got, "more than 2 changes") {
		t.Errorf("spoiled: %q", got)
	}
}

// TestUnorderedWindow: only keys that were read are rolled forward; others reach readers as changes.
func TestUnorderedWindow(t *testing.T) {
	tab := keyed(intType)
	w := NewWindow(tab, change.WholeTable(), true, 100)
	for _, ev := range []change.Event{
		{Table: tab, Op: change.Delete, Before: row(1, 0)},
		{Table: tab, Op: change.Insert, After: row(1, 9)},
		{Table: tab, Op: change.Insert, After: row(7, 7)},
		{Table: tab, Op: change.Update, Before: row(2, 0), After: row(3, 5)},
	} {
		if err := w.Note(&ev); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.Roll([]change.Row{row(1, 0), row(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []change.Row{row(1, 9)}; !cmp.Equal(want, got, cmp.Comparer(func(a, b change.Value) bool { return a == b })) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestKeylessWindow: equal rows of a table without a key are told apart by nothing, so they are what was read
// or the chunk is void.
func TestKeylessWindow(t *testing.T) {
	tab := keyed(intType)
	tab.Key = nil
	w := NewWindow(tab, change.WholeTable(), true, 100)
	got, err := w.Roll([]change.Row{row(1, 2), row(1, 2)})
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v: want both rows", got, err)
	}
	w = NewWindow(tab, change.WholeTable(), true, 100)
	if err := w.Note(&change.Event{Table: tab, Op: change.Insert, After: row(1, 2)}); err != nil {
		t.Fatal(err)
	}
	if w.Spoiled() == "" {
		t.Error("a change fell into the window, and the chunk still counts")
	}
}
