package sinks

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/etlsandbox/cdc/schemas/change"
)

func at(n int) change.Mark {
	return change.Mark{
		Incarnation: 1, Offset: int64(n), ID: fmt.Sprintf("m%d", n), Seq: change.Seq(n),
		Position: change.Position{Server: "s", File: "log.000001", Offset: uint64(n)},
	}
}

func batchOf(kind change.UnitKind, n int, c *change.Cover) *change.Batch {
	return &change.Batch{Stream: "s", Kind: kind, From: change.Seq(n), To: change.Seq(n), Mark: at(n), Cover: c}
}

// TestStagingDecide has a line per rule: what a batch at place 10 means for table t (and progressive table
// p), which is in the state given, when the stream stood at place 9.
func TestStagingDecide(t *testing.T) {
	staged := func(id string, shown change.Mark) TableState {
		return TableState{Phase: Staged, Cover: id, Begun: 5, Boundary: shown}
	}
	begin := func(heal, unordered bool, id string, tables ...string) *change.Batch {
		return batchOf(change.Begin, 10, &change.Cover{ID: id, Heal: heal, Unordered: unordered, Tables: tables})
	}
	chunk := func(id, table string) *change.Batch {
		return batchOf(change.Chunk, 10, &change.Cover{ID: id, Table: table})
	}
	end := func(id string) *change.Batch {
		return batchOf(change.End, 10, &change.Cover{ID: id, Tables: []string{"t", "p"}})
	}
	forMars := func(b *change.Batch) *change.Batch { b.Cover.For = "mars"; return b }
	changes := batchOf(change.Changes, 10, nil)
	empty := change.Mark{}
	type states = map[string]TableState
	type want struct {
		route             Route
		skip, deleteRange bool
		void, show, sweep []string
		done              []string
		states            states
	}
	one := []string{"t"}
	for _, c := range []struct {
		name   string
		batch  *change.Batch
		before states
		want   want
	}{
		{"changes of a live table", changes, nil, want{route: ToTable}},
		{"changes of a table that waits", changes, states{"t": {Phase: Waiting}}, want{states: states{"t": {Phase: Waiting}}}},
		{"changes of a staged table", changes, states{"t": staged("a", at(4))}, want{route: ToStaging, states: states{"t": staged("a", at(4))}}},
		{"changes while noting", changes, states{"t": {Phase: Noting, Cover: "a", Begun: 5, Boundary: at(9)}}, want{route: ToBoth, states: states{"t": {Phase: Noting, Cover: "a", Begun: 5, Boundary: at(10)}}}},
		{"changes of an open table", changes, states{"t": {Phase: Open, Cover: "a", Boundary: at(4)}}, want{route: ToTable, states: states{"t": {Phase: Open, Cover: "a", Boundary: at(4)}}}},

		{"a heal of a live table keeps what is shown at its place", begin(true, false, "b", "t"), nil, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10, Boundary: at(9)}}}},
		{"a heal of a table that waits", begin(true, false, "b", "t"), states{"t": {Phase: Waiting}}, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10}}}},
		{"a heal over a heal voids it and keeps the boundary", begin(true, false, "b", "t"), states{"t": staged("a", at(4))}, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10, Boundary: at(4)}}}},
		{"a heal over one that is held", begin(true, false, "b", "t"), states{"t": {Phase: Held, Cover: "a", Boundary: at(20)}}, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10, Boundary: at(20)}}}},
		{"a progressive heal", begin(true, false, "b", "p"), nil, want{states: states{"p": {Phase: Open, Cover: "b", Begun: 10, Boundary: at(9)}}}},
		{"a progressive heal without order is staged", begin(true, true, "b", "p"), nil, want{void: []string{"p"}, states: states{"p": {Phase: Staged, Cover: "b", Begun: 10, Boundary: at(9)}}}},
		{"an additive cover of a live table", begin(false, false, "b", "t"), nil, want{}},
		{"an additive cover of a table that waits", begin(false, false, "b", "t"), states{"t": {Phase: Waiting, Boundary: at(3)}}, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10, Boundary: at(3)}}}},
		{"an additive cover over a first load", begin(false, false, "b", "t"), states{"t": staged("a", empty)}, want{void: one, states: states{"t": {Phase: Staged, Cover: "b", Begun: 10}}}},
		{"an additive cover over a heal leaves it", begin(false, false, "b", "t"), states{"t": staged("a", at(4))}, want{states: states{"t": staged("a", at(4))}}},
		{"an unordered resync notes keys", begin(false, true, "b", "t"), nil, want{void: one, states: states{"t": {Phase: Noting, Cover: "b", Begun: 10, Boundary: at(10)}}}},
		{"a second unordered resync begins again", begin(false, true, "b", "t"), states{"t": {Phase: Noting, Cover: "a", Begun: 5, Boundary: at(9)}}, want{void: one, states: states{"t": {Phase: Noting, Cover: "b", Begun: 10, Boundary: at(10)}}}},
		{"a table that is not delivered", begin(true, false, "b", "x"), nil, want{}},
		{"a heal for another reader", forMars(begin(true, false, "b", "t")), nil, want{skip: true}},

		{"a chunk of a live table", chunk("b", "t"), nil, want{route: ToTable, deleteRange: true}},
		{"a chunk of a table that waits", chunk("b", "t"), states{"t": {Phase: Waiting}}, want{deleteRange: true, states: states{"t": {Phase: Waiting}}}},
		{"a chunk of its own cover", chunk("a", "t"), states{"t": staged("a", at(4))}, want{route: ToStaging, deleteRange: true, states: states{"t": staged("a", at(4))}}},
		{"a live chunk of another cover goes to the staging", chunk("b", "t"), states{"t": staged("a", at(4))}, want{route: ToStaging, deleteRange: true, states: states{"t": staged("a", at(4))}}},
		{"a chunk for another reader", forMars(chunk("b", "t")), nil, want{skip: true}},

		{"an end shows what is staged under it", end("a"), states{"t": staged("a", at(4))}, want{show: one, done: one}},
		{"an end of another cover", end("b"), states{"t": staged("a", at(4))}, want{states: states{"t": staged("a", at(4))}}},
		{"an end of a first load", end("a"), states{"t": staged("a", empty)}, want{show: one, done: one}},
		{"an end older than what is shown is held", end("a"), states{"t": staged("a", at(20))}, want{states: states{"t": {Phase: Held, Cover: "a", Begun: 5, Boundary: at(20)}}}},
		{"what is held waits", changes, states{"t": {Phase: Held, Cover: "a", Boundary: at(20)}}, want{route: ToStaging, states: states{"t": {Phase: Held, Cover: "a", Boundary: at(20)}}}},
		{"what is held is shown when the stream is there", changes, states{"t": {Phase: Held, Cover: "a", Boundary: at(10)}}, want{route: ToStaging, show: one, done: one}},
		{"an end sweeps what was not noted", end("a"), states{"t": {Phase: Noting, Cover: "a", Begun: 5}}, want{sweep: one, done: one}},
		{"an end of an open heal", end("a"), states{"t": {Phase: Open, Cover: "a", Begun: 5, Boundary: at(3)}}, want{done: one}},
		{"an end that names the table no more", batchOf(change.End, 10, &change.Cover{ID: "a"}), states{"t": staged("a", at(4))},
			want{states: states{"t": {Phase: Waiting, Boundary: at(4)}}}},
		{"an end for another reader", forMars(end("a")), states{"t": staged("a", at(4))}, want{skip: true, states: states{"t": staged("a", at(4))}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Staging{Reader: "neptune", Tables: map[string]bool{"t": false, "p": true}}
			step, err := s.Decide(c.batch, at(9), c.before)
			if err != nil {
				t.Fatal(err)
			}
			got := want{step.Route("t"), step.Skip, step.DeleteRange, step.Void, step.Show, step.Sweep, step.Done, step.States}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(want{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestStagingHoldsThroughIdleRecords: a raw chunk is an idle record of the views, at the position of the
// one before it. That proves nothing of what the source has.
func TestStagingHoldsThroughIdleRecords(t *testing.T) {
	s := Staging{Reader: "neptune", Tables: map[string]bool{"t": false}}
	held := map[string]TableState{"t": {Phase: Held, Cover: "a", Boundary: at(20)}}
	idle := batchOf(change.Idle, 10, nil)
	for _, before := range []change.Mark{at(9), at(10)} {
		step, err := s.Decide(idle, before, held)
		if err != nil || len(step.Show) != 0 || step.States["t"] != held["t"] {
			t.Errorf("an idle record at %s after %s: show %v, states %v, error %v", idle.Mark, before, step.Show, step.States, err)
		}
	}
}

// TestStagingOfASourceThatWasSetBack: another server's places do not compare, so its end is shown; a new
// incarnation of the stream alone is also what a torn log leads to, and shows nothing. An operator's word shows
// what is staged where the source has lost what is shown, and only there.
func TestStagingOfASourceThatWasSetBack(t *testing.T) {
	s := Staging{Reader: "neptune", Tables: map[string]bool{"t": false}}
	end := func(server string, incarnation uint64, cover string, back change.Position) *change.Batch {
		b := batchOf(change.End, 10, &change.Cover{ID: cover, Back: back, Tables: []string{"t"}})
		b.Mark.Position.Server, b.Mark.Incarnation = server, incarnation
		return b
	}
	for _, c := range []struct {
		name  string
		end   *change.Batch
		shows bool
	}{
		{"the same server", end("s", 1, "a", change.Position{}), false},
		{"the same server, a new incarnation of the stream", end("s", 2, "a", change.Position{}), false},
		{"another server", end("restored", 2, "a", change.Position{}), true},
		{"an operator's word, the source ended before what is shown", end("s", 1, "a", at(19).Position), true},
		{"an operator's word, the source still has what is shown", end("s", 1, "a", at(20).Position), false},
		{"an operator's word in another cover", end("s", 1, "b", at(19).Position), false},
	} {
		states := map[string]TableState{"t": {Phase: Staged, Cover: "a", Begun: 5, Boundary: at(20)}}
		step, err := s.Decide(c.end, at(9), states)
		if err != nil || (len(step.Show) == 1) != c.shows {
			t.Errorf("%s: show %v, error %v", c.name, step.Show, err)
		}
	}
}

func TestLost(t *testing.T) {
	gtid := func(server, set string) change.Position {
		return change.Position{Server: server, File: "log.000001", Offset: 4, GTID: set}
	}
	for _, c := range []struct {
		end, shown change.Position
		want       bool
	}{
		{change.Position{}, gtid("s", "0-1-5"), false}, // no word
		{gtid("s", "0-1-4"), gtid("s", "0-1-5"), true},
		{gtid("s", "0-1-5"), gtid("s", "0-1-5"), false},
		{gtid("s", ""), gtid("s", "0-1-5"), true},      // the log was begun anew
		{gtid("other", ""), gtid("s", "0-1-5"), false}, // its end is shown at once anyway
		{gtid("s", "0-1-4"), change.Position{}, false}, // nothing is shown
		{gtid("s", ""), change.Position{}, false},      // neither
	} {
		if got := lost(c.end, c.shown); got != c.want {
			t.Errorf("a log that ends at %v has lost %v: %v, want %v", c.end, c.shown, got, c.want)
		}
	}
}

func TestStagingRefusesWhatItDoesNotKnow(t *testing.T) {
	s := Staging{Reader: "neptune"}
	for _, b := range []*change.Batch{batchOf(change.Begin, 10, nil), batchOf(change.UnitKind(99), 10, nil)} {
		if _, err := s.Decide(b, at(9), nil); err == nil {
			t.Errorf("%s without what it needs was taken", b.Kind)
		}
	}
}

func TestStagingBreaks(t *testing.T) {
	states := map[string]TableState{"t": {Phase: Staged, Cover: "a", Boundary: at(4)}}
	for _, c := range []struct {
		b     Break
		batch *change.Batch
		want  Route
	}{
		{BreakChangesBypassStaging, batchOf(change.Changes, 10, nil), ToTable},
		{BreakLiveChunkOutsideStaging, batchOf(change.Chunk, 10, &change.Cover{ID: "b", Table: "t"}), Ignore},
		{BreakLiveChunkOutsideStaging, batchOf(change.Chunk, 10, &change.Cover{ID: "a", Table: "t"}), ToStaging},
	} {
		s := Staging{Tables: map[string]bool{"t": false}, Break: c.b}
		step, err := s.Decide(c.batch, at(9), states)
		if err != nil || step.Route("t") != c.want {
			t.Errorf("break %d, %s: route %d, want %d (error %v)", c.b, c.batch.Kind, step.Route("t"), c.want, err)
		}
	}
}

func TestFreeze(t *testing.T) {
	s := Staging{Tables: map[string]bool{"kept": false}}
	states := map[string]TableState{
		"staged": {Phase: Staged, Cover: "a", Boundary: at(3)}, "waits": {Phase: Waiting, Boundary: at(2)},
	}
	s.Freeze([]string{"kept", "gone", "staged", "waits"}, at(9), states)
	want := map[string]TableState{
		"gone": {Phase: Waiting, Boundary: at(9)}, "staged": {Phase: Waiting, Boundary: at(3)}, "waits": {Phase: Waiting, Boundary: at(2)},
	}
	if d := cmp.Diff(want, states); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAlreadyApplied(t *testing.T) {
	mark := func(inc uint64, offset int64, seq change.Seq) change.Mark {
		return change.Mark{Incarnation: inc, Offset: offset, ID: "x", Seq: seq}
	}
	for _, c := range []struct {
		name  string
		kind  change.UnitKind
		batch change.Mark
		at    change.Mark
		done  bool
		stop  bool
	}{
		{"nothing applied", change.Changes, mark(1, 5, 5), change.Mark{}, false, false},
		{"the next", change.Changes, mark(1, 6, 6), mark(1, 5, 5), false, false},
		{"the same", change.Changes, mark(1, 5, 5), mark(1, 5, 5), true, false},
		{"an older one", change.Changes, mark(1, 4, 4), mark(1, 5, 5), true, false},
		{"an idle record", change.Idle, mark(1, 6, 5), mark(1, 5, 5), false, false},
		{"an idle record again", change.Idle, mark(1, 5, 5), mark(1, 5, 5), true, false},
		{"a begin at a reused offset", change.Begin, mark(1, 3, 9), mark(1, 5, 5), false, false},
		{"a new incarnation", change.Begin, mark(2, 1, 9), mark(1, 5, 5), false, false},
		{"a new incarnation below", change.Begin, mark(2, 1, 4), mark(1, 5, 5), false, true},
		{"the same number further on", change.Changes, mark(1, 6, 5), mark(1, 5, 5), false, true},
	} {
		b := &change.Batch{Stream: "s", Kind: c.kind, To: c.batch.Seq, Mark: c.batch}
		done, err := AlreadyApplied(b, c.at)
		if done != c.done || (ClassOf(err) == Stop) != c.stop {
			t.Errorf("%s: done %t, error %v", c.name, done, err)
		}
	}
}

func TestBehind(t *testing.T) {
	const u = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	g := func(s string) change.Position { return change.Position{Server: "s", GTID: s} }
	f := func(file string, offset uint64) change.Position { return change.Position{File: file, Offset: offset} }
	for _, c := range []struct {
		a, b change.Position
		want bool
	}{
		{g(u + ":1-5"), g(u + ":1-5"), false},
		{g(u + ":1-4"), g(u + ":1-5"), true},
		{g(u + ":1-9"), g(u + ":1-5"), false},
		{g(u + ":1-3:5-9"), g(u + ":1-5"), true},
		{g(u + ":1-5:7-9"), g(u + ":1-5:7"), false},
		{g(u + ":1-5, " + u[:35] + "3:1-2"), g(u[:35] + "3:1-2"), false},
		{g(u + ":1-5"), g(u[:35] + "3:1"), true},
		{g(u + ":tag:1-5"), g(u + ":tag:1-6"), true},
		{g(u + ":tag:1-5"), g(u + ":1-5"), true},
		{g(u + ":1-3:tag:1-5"), g(u + ":tag:4"), false},
		{g("0-1-100"), g("0-1-101"), true},
		{g("0-2-101"), g("0-1-100"), false}, // another server of the domain went on
		{g("0-1-100,1-1-5"), g("1-1-5"), false},
		{g("nonsense"), g("0-1-1"), false},
		{f("log.000002", 4), f("log.000001", 900), false},
		{f("log.000001", 4), f("log.000001", 900), true},
		{f("log.999999", 4), f("log.1000000", 4), true},
		{change.Position{}, g("0-1-1"), false},
		{change.Position{Server: "other", GTID: "0-1-1"}, g("0-1-2"), false},
	} {
		if got := Behind(c.a, c.b); got != c.want {
			t.Errorf("Behind(%s, %s) = %t", c.a, c.b, got)
		}
	}
}

func TestPhaseNames(t *testing.T) {
	for p := Live; p <= Open; p++ {
		if got, err := ParsePhase(p.String()); err != nil || got != p {
			t.Errorf("ParsePhase(%q) = %v, %v", p, got, err)
		}
	}
	if _, err := ParsePhase("of tomorrow"); err == nil {
		t.Error("a phase of a later version was taken")
	}
}
