package joiner_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/joiner/memstate"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// brittle is an expression over a column that cannot be computed for the value 13.
func brittle(col int) view.Expr {
	return oracle.Func{Name: "brittle", Ty: intType, Args: []view.Expr{oracle.Column{Col: col, Ty: intType}}, F: func(v []change.Value) (change.Value, error) {
		if v[0] == change.IntValue(13) {
			return change.Value{}, errors.New("thirteen has no answer")
		}
		return v[0], nil
	}}
}

func brittlePlan(t *change.Table) *view.Plan {
	return &view.Plan{Name: "v", Inputs: []view.Input{{Alias: "n", Table: t, Columns: []int{0, 1}, Parent: -1}},
		Select: []view.Expr{oracle.Column{Col: 0, Ty: intType}, brittle(1)},
		Output: &change.Table{ID: change.TableID{Name: "v"}, Key: []int{0}, Columns: []change.Column{{Name: "id", Type: intType}, {Name: "answer", Type: intType, Nullable: true}}}}
}

var numbers = &change.Table{ID: change.TableID{DB: "db", Name: "numbers"}, Key: []int{0}, Columns: []change.Column{{Name: "id", Type: intType}, {Name: "n", Type: intType}}}

func number(id, n int64) change.Row { return change.Row{change.IntValue(id), change.IntValue(n)} }

// TestProblemIsOfTheRow: a value that cannot be computed marks its row, and only its row.
func TestProblemIsOfTheRow(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1} {
		e, err := joiner.New([]*view.Plan{brittlePlan(numbers)})
		if err != nil {
			t.Fatal(err)
		}
		state := memstate.New()
		run := func(evs ...change.Event) (outs []joiner.Output) {
			b, err := e.Begin(state, joiner.Options{Limit: limit, Scratch: func() (joiner.Scratch, error) { return memstate.NewScratch(), nil }})
			if err != nil {
				t.Fatal(err)
			}
			for i := range evs {
				if err := b.Apply(&evs[i]); err != nil {
					t.Fatal(err)
				}
			}
			for o, err := range b.Outputs("v") {
				if err != nil {
					t.Fatal(err)
				}
				outs = append(outs, o)
			}
			if err := errors.Join(b.Flush(state), b.Close()); err != nil {
				t.Fatal(err)
			}
			return outs
		}
		outs := run(event(numbers, nil, number(1, 13)), event(numbers, nil, number(2, 2)))
		if len(outs) != 2 || outs[0].Problem == nil || !strings.Contains(outs[0].Problem.Error(), "thirteen") || !outs[0].After[1].IsNull() || outs[1].Problem != nil {
			t.Errorf("limit %d: outputs %+v", limit, outs)
		}
		outs = run(event(numbers, number(1, 13), number(1, 14)))
		if len(outs) != 1 || outs[0].Op != change.Update || outs[0].Problem != nil || outs[0].After[1] != change.IntValue(14) {
			t.Errorf("limit %d: after the mend: %+v", limit, outs)
		}
	}
}

// TestProblemOfAConditionStops: whether the row belongs to the view at all is not known.
func TestProblemOfAConditionStops(t *testing.T) {
	t.Parallel()
	p := brittlePlan(numbers)
	p.Select[1], p.Where = oracle.Column{Col: 1, Ty: intType}, brittle(1)
	e, err := joiner.New([]*view.Plan{p})
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Begin(memstate.New(), joiner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ev := event(numbers, nil, number(7, 13))
	if err := b.Apply(&ev); err != nil {
		t.Fatal(err)
	}
	var failed *joiner.EvalError
	for _, err := range b.Outputs("v") {
		if !errors.As(err, &failed) {
			t.Fatalf("outputs: %v", err)
		}
	}
	if failed == nil || failed.View != "v" || !strings.Contains(failed.Rows, "n(7)") {
		t.Errorf("the error %+v does not name view and row", failed)
	}
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	e, err := joiner.New([]*view.Plan{brittlePlan(numbers)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Begin(memstate.New(), joiner.Options{Emit: []string{"w"}}); err == nil {
		t.Error("a batch for an unknown view began")
	}
	if _, err := e.Scan(memstate.New(), "w", change.WholeTable(), joiner.ScanOptions{}); err == nil {
		t.Error("an unknown view was scanned")
	}
	if _, err := joiner.New([]*view.Plan{brittlePlan(numbers), brittlePlan(numbers)}); err == nil {
		t.Error("two views of one name were accepted")
	}
	keyless := *numbers
	keyless.Key = nil
	if _, err := joiner.New([]*view.Plan{brittlePlan(&keyless)}); err == nil {
		t.Error("a table without a key was accepted")
	}
}
