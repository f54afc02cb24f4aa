package stream

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// rule returns the protocol without one rule.
func rule(t *testing.T, name string) Rules {
	t.Helper()
	r, err := Without(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRules(t *testing.T) {
	if r, err := Without(); r != 0 || err != nil {
		t.Errorf("all rules on is %d, %v", r, err)
	}
	if _, err := Without("prev-chian"); err == nil || !strings.Contains(err.Error(), "prev-chain") {
		t.Errorf("a misspelt rule: %v", err)
	}
	for i, n := range RuleNames() {
		if r := rule(t, n); r != 1<<i {
			t.Errorf("%s is %b", n, r)
		}
	}
	if rule(t, "prev-chain") != prevChain || rule(t, "seq-above") != seqAbove {
		t.Error("names and constants are out of step")
	}
	if a, b := Rules(0).TransactionalID("x", "p1"), Rules(0).TransactionalID("x", "p2"); a != b {
		t.Error("two processes have two transactional ids")
	}
	if r := rule(t, "no-fencing-kafka"); r.TransactionalID("x", "p1") == r.TransactionalID("x", "p2") {
		t.Error("the rule is not off")
	}
}

func TestDecideStart(t *testing.T) {
	newest := &wire.Progress{ID: "n", Incarnation: 5, SeqTo: 9, Writer: "me", Parts: []wire.Part{{Topic: "s.a", Next: 10}}}
	meta := func(p *wire.Progress, at int64) *wire.Meta {
		m := wire.NewMeta()
		if p != nil {
			m.Newest = &wire.MetaProgress{Offset: at, Progress: *p}
		}
		return m
	}
	base := found{newest: newest, at: 7, meta: meta(newest, 7), progress: Bounds{0, 9, 9}, ends: []int64{11}, self: "me"}
	cases := []struct {
		name   string
		change func(*found)
		want   action
		why    string // part of the reason
		off    string // with this rule off it goes on
	}{
		{"whole", func(*found) {}, goOn, "", ""},
		{"empty", func(f *found) { f.newest, f.meta = nil, meta(nil, 0) }, newIncarnation, "empty", ""},
		{"first start, another's record", func(f *found) { f.self = "new" }, goOn, "", ""},
		{"again, own record", func(f *found) { f.again, f.epochLost = true, true }, goOn, "", ""},
		{"again, another's new record", func(f *found) { f.again, f.self, f.seen = true, "x", change.Mark{ID: "m", Incarnation: 5, Seq: 8} }, fenced, "", ""},
		{"again, nobody wrote", func(f *found) { f.again, f.self, f.seen = true, "x", newest.Mark(7) }, goOn, "", ""},
		{"again, nobody wrote but the epoch is lost", func(f *found) {
			f.again, f.epochLost, f.self, f.seen = true, true, "x", newest.Mark(7)
		}, fenced, "", ""},
		{"again, the tail is lost", func(f *found) {
			f.again, f.self, f.seen = true, "x", change.Mark{ID: "later", Incarnation: 5, Seq: 12}
		}, goOn, "", ""},
		{"no meta", func(f *found) { f.meta = meta(nil, 0) }, newIncarnation, "meta topic is empty", "start-check"},
		{"meta ahead", func(f *found) { f.meta = meta(&wire.Progress{ID: "later"}, 9) }, newIncarnation, "meta knows later", "start-check"},
		{"meta at another offset", func(f *found) { f.meta = meta(newest, 8) }, newIncarnation, "offset 8", "start-check"},
		{"progress cut below meta's newest", func(f *found) { f.progress = Bounds{0, 7, 7} }, newIncarnation, "ends at offset 7", "start-check"},
		{"a partition cut", func(f *found) { f.ends = []int64{9} }, newIncarnation, "s.a[0] ends at offset 9", "start-check"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := base
			c.change(&f)
			got, why := decideStart(f, 0)
			if got != c.want || !strings.Contains(why, c.why) || (got == newIncarnation) != (why != "") {
				t.Errorf("got %d %q", got, why)
			}
			for _, n := range RuleNames() {
				if got, _ := decideStart(f, rule(t, n)); (got != c.want) != (n == c.off) {
					t.Errorf("without %s: %d", n, got)
				}
			}
		})
	}
}

func TestCheckNext(t *testing.T) {
	for _, c := range []struct {
		name     string
		kind     change.UnitKind
		from, to change.Seq
		ok       bool
	}{
		{"one", change.Changes, 8, 8, true},
		{"many", change.Changes, 8, 99, true},
		{"none", change.Changes, 8, 7, false},
		{"a gap", change.Changes, 9, 9, false},
		{"again", change.Changes, 7, 8, false},
		{"idle", change.Idle, 8, 7, true},
		{"idle with a unit", change.Idle, 8, 8, false},
		{"begin", change.Begin, 8, 8, true},
		{"begin above", change.Begin, 500, 500, true},
		{"begin below", change.Begin, 7, 7, false},
		{"two begins", change.Begin, 8, 9, false},
		{"chunk", change.Chunk, 8, 8, true},
		{"chunk above", change.Chunk, 9, 9, false},
		{"two chunks", change.Chunk, 8, 9, false},
		{"end", change.End, 8, 8, true},
		{"schema", change.Schema, 8, 8, true},
	} {
		if err := checkNext(&wire.Progress{Kind: c.kind, SeqFrom: c.from, SeqTo: c.to}, 7); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMarkFound(t *testing.T) {
	m := change.Mark{Incarnation: 5, Offset: 7, ID: "n", Seq: 9}
	here := &wire.Progress{ID: "n", Incarnation: 5}
	newest := &wire.MetaProgress{Offset: 7, Progress: *here}
	open := Bounds{3, 20, 20}
	for _, c := range []struct {
		name   string
		mark   change.Mark
		record *wire.Progress
		meta   *wire.MetaProgress
		b      Bounds
		ok     bool
		off    string // with this rule off it is the other way round
	}{
		{"there", m, here, nil, open, true, ""},
		{"nowhere", change.Mark{}, here, nil, open, false, ""},
		{"another id", m, &wire.Progress{ID: "x", Incarnation: 5}, nil, open, false, "offset-only-mark"},
		{"another incarnation", m, &wire.Progress{ID: "n", Incarnation: 6}, nil, open, false, "offset-only-mark"},
		{"log too short", m, nil, newest, Bounds{0, 7, 7}, false, ""},
		{"trimmed", m, nil, nil, Bounds{9, 20, 20}, false, ""},
		{"trimmed, newest in meta", m, nil, newest, Bounds{9, 9, 9}, true, "offset-only-mark"},
		{"trimmed, another in meta", m, nil, &wire.MetaProgress{Offset: 7, Progress: wire.Progress{ID: "x"}}, Bounds{9, 9, 9}, false, ""},
		{"trimmed, same id elsewhere in meta", m, nil, &wire.MetaProgress{Offset: 8, Progress: *here}, Bounds{9, 9, 9}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, why := markFound(c.mark, c.record, c.meta, c.b, 0)
			if ok != c.ok || ok == (why != "") {
				t.Errorf("got %v %q", ok, why)
			}
			for _, n := range RuleNames() {
				if ok, _ := markFound(c.mark, c.record, c.meta, c.b, rule(t, n)); (ok != c.ok) != (n == c.off) {
					t.Errorf("without %s: %v", n, ok)
				}
			}
		})
	}
}

func TestAcceptProgress(t *testing.T) {
	m := change.Mark{Incarnation: 5, Offset: 7, ID: "a", Seq: 9}
	for _, c := range []struct {
		name  string
		first string
		p     wire.Progress
		want  string
		off   []string // any of these off accepts it
	}{
		{"follows", "", wire.Progress{ID: "b", Prev: "a", Incarnation: 5, Kind: change.Changes, SeqFrom: 10, SeqTo: 12}, "", nil},
		{"wrong prev", "", wire.Progress{ID: "b", Prev: "x", Incarnation: 5, Kind: change.Changes, SeqFrom: 10, SeqTo: 12}, "follows x", []string{"prev-chain", "offset-only-mark"}},
		{"first of a log", "", wire.Progress{ID: "b", Incarnation: 5, Kind: change.Begin, SeqFrom: 10, SeqTo: 10}, "follows none", []string{"prev-chain", "offset-only-mark"}},
		{"wrong incarnation", "", wire.Progress{ID: "b", Prev: "a", Incarnation: 6, Kind: change.Changes, SeqFrom: 10, SeqTo: 12}, "begun anew", []string{"offset-only-mark"}},
		{"a gap", "", wire.Progress{ID: "b", Prev: "a", Incarnation: 5, Kind: change.Changes, SeqFrom: 11, SeqTo: 12}, "does not follow", []string{"prev-chain", "offset-only-mark"}},
		{"a begin above", "", wire.Progress{ID: "b", Prev: "a", Incarnation: 5, Kind: change.Begin, SeqFrom: 90, SeqTo: 90}, "", nil},
		{"the adopted begin", "b", wire.Progress{ID: "b", Prev: "a", Incarnation: 5, Kind: change.Begin, SeqFrom: 10, SeqTo: 10}, "", nil},
		{"not the adopted begin", "c", wire.Progress{ID: "b", Prev: "a", Incarnation: 5, Kind: change.Begin, SeqFrom: 10, SeqTo: 10}, "begin c", []string{"first-is-begin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			why := acceptProgress(m, c.first, &c.p, 0)
			if (why == "") != (c.want == "") || !strings.Contains(why, c.want) {
				t.Errorf("got %q", why)
			}
			for _, n := range RuleNames() {
				off := false
				for _, o := range c.off {
					off = off || o == n
				}
				if why := acceptProgress(m, c.first, &c.p, rule(t, n)); (why == "") != (c.want == "" || off) {
					t.Errorf("without %s: %q", n, why)
				}
			}
		})
	}
}

func TestSpan(t *testing.T) {
	p := &wire.Progress{ID: "x", SeqFrom: 10, SeqTo: 12}
	part := wire.Part{Topic: "s.a", From: 20, Next: 30, Count: 8}
	s := newSpan(p, part, 0)
	for _, c := range []struct {
		name string
		at   int64
		b    Bounds
		want readiness
	}{
		{"readable", 20, Bounds{0, 30, 31}, ready},
		{"at its start", 20, Bounds{20, 30, 30}, ready},
		{"marker missing", 20, Bounds{0, 20, 30}, notYet},
		{"half of it stable", 20, Bounds{0, 25, 30}, notYet},
		{"tail lost", 20, Bounds{0, 25, 25}, lost},
		{"trimmed", 20, Bounds{21, 30, 31}, lost},
		{"trimmed behind the cursor", 25, Bounds{21, 30, 31}, ready},
		{"read", 30, Bounds{90, 90, 90}, ready},
		{"topic gone", 20, Bounds{}, lost},
	} {
		if got, why := s.ready(c.at, c.b); got != c.want || (got == lost) != (why != "") {
			t.Errorf("%s: %d %q", c.name, got, why)
		}
	}
	if got, _ := newSpan(p, part, rule(t, "readers-not-gated")).ready(20, Bounds{0, 20, 30}); got != ready {
		t.Error("the gate is not off")
	}
	for seq, ok := range map[change.Seq]bool{9: false, 10: true, 12: true, 13: false} {
		if why := s.data(place{seq: seq}); (why == "") != ok {
			t.Errorf("seq %d: %q", seq, why)
		}
		if why := newSpan(p, part, rule(t, "header-seq")).data(place{seq: seq}); why != "" {
			t.Errorf("seq %d without header-seq: %q", seq, why)
		}
	}
	for batch, ok := range map[uint32]bool{0: true, batchOf("x"): true, batchOf("y"): false} { // 0: an earlier version's
		if why := s.data(place{seq: 11, batch: batch}); (why == "") != ok {
			t.Errorf("batch %d: %q", batch, why)
		}
	}
	for n, ok := range map[int64]bool{7: false, 8: true, 9: false} {
		if why := s.done(n, 0); (why == "") != ok {
			t.Errorf("%d records: %q", n, why)
		}
	}
}

func TestAdoptable(t *testing.T) {
	begin := wire.Progress{ID: "b", Kind: change.Begin, SeqFrom: 10, SeqTo: 10, Cover: &change.Cover{Heal: true, Tables: []string{"a", "b"}}}
	with := func(f func(*wire.Progress)) wire.Progress {
		p, c := begin, *begin.Cover
		p.Cover = &c
		f(&p)
		return p
	}
	for _, c := range []struct {
		name   string
		p      wire.Progress
		tables []string
		floor  change.Seq
		want   bool
		off    string
	}{
		{"for all", begin, []string{"a", "b"}, 9, true, ""},
		{"some tables", begin, []string{"a"}, 9, true, ""},
		{"for me", with(func(p *wire.Progress) { p.Cover.For = "me" }), []string{"a"}, 9, true, ""},
		{"for another", with(func(p *wire.Progress) { p.Cover.For = "you" }), []string{"a"}, 9, false, ""},
		{"no heal", with(func(p *wire.Progress) { p.Cover.Heal = false }), []string{"a"}, 9, false, ""},
		{"a chunk", with(func(p *wire.Progress) { p.Kind = change.Chunk }), []string{"a"}, 9, false, ""},
		{"a table missing", begin, []string{"a", "c"}, 9, false, "adopt-partial-begin"},
		{"not above", begin, []string{"a"}, 10, false, "seq-above"},
	} {
		if got := adoptable(&c.p, "me", c.tables, c.floor, 0); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		for _, n := range RuleNames() {
			if got := adoptable(&c.p, "me", c.tables, c.floor, rule(t, n)); (got != c.want) != (n == c.off) {
				t.Errorf("%s without %s: %v", c.name, n, got)
			}
		}
	}
}
