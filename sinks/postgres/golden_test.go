package postgres

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestStatements prints every statement for a few shapes (testdata/statements.txt), so that a change of SQL
// is read by somebody. Rewrite with -rewrite.
func TestStatements(t *testing.T) {
	datadriven.RunTest(t, "testdata/statements.txt", func(t *testing.T, d *datadriven.TestData) string {
		table := &change.Table{}
		if err := json.Unmarshal([]byte(d.Input), table); err != nil {
			d.Fatalf(t, "%v", err)
		}
		tg, err := newTarget(sinks.Target{From: table.ID.String(), Table: table, To: table.ID.Name, Soft: d.HasArg("soft")}, "public", 1)
		if err != nil {
			return err.Error()
		}
		d.MaybeScanArgs(t, "unique", &tg.uniques)
		var b strings.Builder
		p := tg.visible(0)
		fmt.Fprintf(&b, "%s\n%s\n%s\n", tg.createTable(), tg.createStage(), tg.createInbox())
		in := &inbox{tg: tg, rows: 1}
		for op := range in.nulls {
			in.nulls[op] = map[int]bool{0: true}
			if tg.nullableKey() {
				in.nulls[op][1<<(len(tg.key)-1)] = true
			}
		}
		for _, st := range (work{place: p, in: in}).statements("") {
			fmt.Fprintf(&b, "%s: %s\n", st.step, st.sql)
		}
		lo := make(change.Row, 0, len(tg.key))
		for _, typ := range table.KeyTypes() {
			if typ.Kind == change.Int {
				lo = append(lo, change.IntValue(7))
			} else {
				lo = append(lo, change.StringValue("m"))
			}
		}
		within, err := tg.rangePart(change.KeyRange{Lo: change.KeyOf(lo...), HasLo: true, Hi: change.KeyOf(lo[0]) + "\xff", HasHi: true})
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "range %v: %s\n", within.args, within.sql)
		fmt.Fprintf(&b, "show: %s\n", p.upsert(tg.stage, false, p.absentOrDifferent(false, "true")))
		return b.String()
	})
}

// TestFormatVersion1 reads what the first format of cdc_progress left in the middle of a heal, and goes on
// from there. The fixture is never edited.
func TestFormatVersion1(t *testing.T) {
	d := newDatabase(t)
	fixture, err := os.ReadFile("testdata/progress_v1.sql")
	if err != nil {
		t.Fatal(err)
	}
	d.run(t, d.db(t), string(fixture))
	s := d.open(t, sinktest.Options{Reader: "n"})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	tg := simpleTarget()
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	mark, err := s.Applied(t.Context(), "s")
	want := change.Mark{Incarnation: 1, Offset: 5, ID: "m5", Seq: 5, Position: change.Position{Server: "u", GTID: "u:1-5", File: "log.000003", Offset: 777}}
	if err != nil || mark != want {
		t.Fatalf("applied %+v (error %v), want %+v", mark, err, want)
	}
	states, err := s.Boundaries(t.Context(), "s")
	state := sinks.TableState{Phase: sinks.Staged, Cover: "c", Begun: 4, Boundary: change.Mark{Incarnation: 1, Offset: 3, ID: "m3", Seq: 3, Position: change.Position{Server: "u", GTID: "u:1-3"}}}
	if err != nil || len(states) != 1 || states[tg.From] != state {
		t.Fatalf("states %+v (error %v), want %+v", states, err, state)
	}
	w := &writer{mark: mark}
	mustApply(t, s, w.batch(change.End, &change.Cover{ID: "c", Tables: []string{tg.From}}))
	var shown []string
	for _, r := range d.rows(t, tg) {
		shown = append(shown, r.Row[1].Text())
	}
	if got := strings.Join(shown, " "); got != "kept staged" { // the poison key keeps what was shown of it
		t.Errorf("shown after the end: %q", got)
	}
	if q := d.quarantine(t); len(q) != 1 || q[0].Key != "[1]" {
		t.Errorf("quarantine %v, want the key [1] alone: the other entry is older than the heal", q)
	}
}
