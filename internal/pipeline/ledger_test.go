package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

// A heal voids what its reader was asked to take before; a resync for a reader voids nothing, least of all the
// heal that the reader waits for.
func TestLedgerVoids(t *testing.T) {
	type cover struct {
		id, reader string
		heal       bool
		tables     []string
	}
	tests := []struct {
		name string
		old  []cover
		next cover
		want map[string][]string
	}{
		{"a resync beside the reader's heal", []cover{{"h", "mars", true, []string{"a", "b"}}}, cover{"r", "mars", false, []string{"a"}},
			map[string][]string{"h": {"a", "b"}, "r": {"a"}}},
		{"a resync beside a resync", []cover{{"r1", "mars", false, []string{"a"}}}, cover{"r2", "mars", false, []string{"a"}},
			map[string][]string{"r1": {"a"}, "r2": {"a"}}},
		{"a heal instead of the reader's older covers", []cover{{"h", "mars", true, []string{"a"}}, {"r", "mars", false, []string{"b"}}, {"v", "venus", true, []string{"a"}}},
			cover{"n", "mars", true, []string{"a", "b"}}, map[string][]string{"n": {"a", "b"}, "v": {"a"}}},
		{"a heal for everybody takes its tables out of all", []cover{{"h", "mars", true, []string{"a", "b"}}, {"r", "", false, []string{"a"}}},
			cover{"n", "", true, []string{"a"}}, map[string][]string{"n": {"a"}, "h": {"b"}}},
	}
	for _, tt := range tests {
		l := newLedger(nil)
		for i, c := range append(tt.old, tt.next) {
			ch, err := l.begin(change.Cover{ID: c.id, For: c.reader, Heal: c.heal, Tables: c.tables}, change.Seq(i+1), nil)
			if err != nil {
				t.Fatal(err)
			}
			l = ch.next
		}
		got := map[string][]string{}
		for id, st := range l.covers {
			got[id] = st.Cover.Tables
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Operators' asks wait for their answer; a reader's newer ask stands for its older one.
func TestMergeAsks(t *testing.T) {
	operator := func(string, error) {}
	got := mergeAsks([]Ask{{Reader: "mars", Floor: 1}, {Reader: "mars", Done: operator, Floor: 2}},
		[]Ask{{Reader: "mars", Floor: 3}, {Reader: "mars", Done: operator, Floor: 4}, {Reader: "venus", Floor: 5}, {Floor: 6, Done: operator}})
	var floors []change.Seq
	for _, a := range got {
		floors = append(floors, a.Floor)
	}
	if diff := cmp.Diff([]change.Seq{2, 3, 4, 5, 6}, floors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	begins := []begun{{cover: change.Cover{For: "mars", Heal: true, Tables: []string{"a"}}, seq: 9, offset: 7}}
	if !answered(begins, Ask{Reader: "mars", Tables: []string{"a"}, Since: 7}) {
		t.Error("a begin that came after the reader asked is no answer")
	}
	if answered(begins, Ask{Reader: "mars", Tables: []string{"a"}, Done: operator}) {
		t.Error("an older begin was taken for the answer to an operator")
	}
}

// TestBackGoesOn: a heal that takes tables from a cover with an operator's word speaks with that word as well; a
// resync takes none, and its own word comes first.
func TestBackGoesOn(t *testing.T) {
	place := func(n uint64) change.Position { return change.Position{Server: "s", File: "log.000001", Offset: n} }
	l := newLedger(nil)
	for i, c := range []change.Cover{
		{ID: "a", Heal: true, Tables: []string{"t", "u"}, Back: place(7)},
		{ID: "b", Heal: true, Tables: []string{"v"}},
	} {
		ch, err := l.begin(c, change.Seq(i+1), nil)
		if err != nil {
			t.Fatal(err)
		}
		l = ch.next
	}
	for _, c := range []struct {
		name  string
		cover change.Cover
		want  change.Position
	}{
		{"a heal of one of its tables", change.Cover{Heal: true, Tables: []string{"u", "v"}}, place(7)},
		{"a heal for one reader", change.Cover{Heal: true, For: "mars", Tables: []string{"t"}}, place(7)},
		{"a heal of another table", change.Cover{Heal: true, Tables: []string{"v"}}, change.Position{}},
		{"a resync", change.Cover{Tables: []string{"t"}}, change.Position{}},
		{"a later word", change.Cover{Heal: true, Tables: []string{"t"}, Back: place(9)}, place(9)},
	} {
		if got := l.back(c.cover, 0); got != c.want {
			t.Errorf("%s: back to %v, want %v", c.name, got, c.want)
		}
	}
}
