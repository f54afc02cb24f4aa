// Package oracle evaluates views the naive way, nested loops over whole tables, and simulates a source
// with foreign keys. Tests hold the joiner's answers against it. Nothing here is shared with the joiner.
package oracle

import (
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// Tables holds whole tables: rows by key.
type Tables map[change.TableID]map[change.Key]change.Row

// Clone copies the tables; rows are shared, they are never modified.
func (ts Tables) Clone() Tables {
	n := Tables{}
	for id, rows := range ts {
		n[id] = maps.Clone(rows)
	}
	return n
}

// Evaluate returns the view's rows by output key.
func Evaluate(p *view.Plan, ts Tables) (map[change.Key]change.Row, error) {
	out := map[change.Key]change.Row{}
	var failed error
	tuple := make(view.Tuple, len(p.Inputs))
	var extend func(i int)
	extend = func(i int) {
		if failed != nil {
			return
		}
		if i == len(p.Inputs) {
			failed = emit(p, tuple, out)
			return
		}
		in := &p.Inputs[i]
		matched := false
		for _, row := range ts[in.Table.ID] {
			tuple[i] = narrow(in, row)
			ok, err := matches(p, in, tuple, i)
			if err != nil {
				failed = err
				return
			}
			if ok {
				matched = true
				extend(i + 1)
			}
		}
		tuple[i] = nil
		if !matched && in.Left {
			extend(i + 1)
		}
	}
	extend(0)
	return out, failed
}

// narrow blanks what the input does not declare to read, so that a plan that reads more is found out.
func narrow(in *view.Input, row change.Row) change.Row {
	n := make(change.Row, len(row))
	for c := range n {
		n[c] = change.AbsentValue()
		if slices.Contains(in.Columns, c) {
			n[c] = row[c]
		}
	}
	return n
}

func matches(p *view.Plan, in *view.Input, t view.Tuple, i int) (bool, error) {
	if i > 0 {
		parent := t[in.Parent]
		if parent == nil {
			return false, nil
		}
		for _, on := range in.On {
			a, aok := view.AppendJoinKey(nil, parent[on.ParentColumn], on.As)
			b, bok := view.AppendJoinKey(nil, t[i][on.Column], on.As)
			if !aok || !bok || string(a) != string(b) {
				return false, nil
			}
		}
	}
	for _, cond := range []view.Expr{in.Filter, in.OnFilter} {
		if ok, err := truth(cond, t); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func truth(cond view.Expr, t view.Tuple) (bool, error) {
	if cond == nil {
		return true, nil
	}
	v, err := cond.Eval(t)
	if err != nil {
		return false, fmt.Errorf("evaluate %s: %w", cond, err)
	}
	return !v.IsNull() && v.Int() != 0, nil
}

func emit(p *view.Plan, t view.Tuple, out map[change.Key]change.Row) error {
	if ok, err := truth(p.Where, t); !ok || err != nil {
		return err
	}
	row := make(change.Row, len(p.Select))
	for i, x := range p.Select {
		v, err := x.Eval(t)
		if err != nil {
			return fmt.Errorf("evaluate %s: %w", x, err)
		}
		row[i] = v
	}
	key, err := p.Output.RowKey(row)
	if err != nil {
		return err
	}
	if was, ok := out[key]; ok {
		return fmt.Errorf("the output key is not unique: %v and %v", was, row)
	}
	out[key] = row
	return nil
}
