package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// isAside reports whether the view does not fit its tables any more.
func (j *Join) isAside(name string) bool {
	return slices.ContainsFunc(j.aside, func(p *view.Plan) bool { return p.Name == name })
}

// reshape makes the engine anew when a record brings a table in a shape that the views were not compiled
// against. What the state holds of such a table is dropped: the cover that brings the shape brings the rows
// too, so that only the views over the table wait. Views that do not fit any more are put aside. It returns
// false when the state cannot go on and must be rebuilt.
func (j *Join) reshape(p *wire.Progress) (kept bool, err error) {
	if j.cfg.Compile == nil {
		return true, nil
	}
	var renewed []change.TableID
	compile := false
	for _, t := range p.Tables {
		if j.engine.Fits(t) != nil {
			renewed = append(renewed, t.ID)
		}
		compile = compile || readsAny(j.aside, t.ID)
	}
	if len(renewed) == 0 && !compile {
		return true, nil
	}
	j.shapes.announce(p)
	if err := j.compile(j.shapes.held(p.SeqFrom)); err != nil {
		return false, fmt.Errorf("make the views anew for new shapes of %v: %w", renewed, err)
	}
	state, ok := j.state.(keepingState)
	if !ok {
		return false, nil
	}
	next := j.coveringAfter(p)
	for _, id := range renewed {
		if j.engine.Reads(id) && !next[id.String()].Heal {
			return false, nil // nothing would bring its rows
		}
	}
	return state.Relayout(j.engine.Tables(), renewed)
}

// compile replaces the plans and the engine by what fits the tables.
func (j *Join) compile(tables []*change.Table) error {
	plans, refused := j.cfg.Compile(tables)
	engine, err := joiner.New(plans)
	if err != nil {
		return err
	}
	var aside []*view.Plan
	for _, p := range slices.Concat(j.cfg.Plans, j.aside) {
		if refused[p.Name] != nil {
			aside = append(aside, p)
		}
	}
	j.cfg.Plans, j.aside, j.engine, j.layout = plans, aside, engine, layoutOf(engine)
	return nil
}

func readsAny(plans []*view.Plan, id change.TableID) bool {
	return slices.ContainsFunc(plans, func(p *view.Plan) bool {
		return len(p.Inputs) == 0 || slices.ContainsFunc(p.Inputs, func(in view.Input) bool { return in.Table.ID == id })
	})
}

// stuck reports whether a view goes on only when somebody has mended something: it does not fit its tables, or one of
// them is paused.
func (j *Join) stuck(name string) bool {
	if j.isAside(name) {
		return true
	}
	return j.withheld(j.at.Covering, name) && slices.ContainsFunc(j.engine.TablesOf(name), func(id change.TableID) bool { return j.cfg.Paused(id.String()) })
}

// hold begins a heal of the views that are stuck and of them alone: from there destinations hold them at their
// boundary, and say so, and the end of what was begun with them does not wait for them. It does so for those put aside
// before this process began, and for those that a raw begin withholds, or that a reader asks for, together with others.
func (j *Join) hold(ctx context.Context) (bool, error) {
	var vs []string
	for _, p := range slices.Concat(j.aside, j.cfg.Plans) {
		if j.w.State().Meta.Views[p.Name] != nil && j.stuck(p.Name) && !j.heldAlone(p.Name) {
			vs = append(vs, p.Name)
		}
	}
	if len(vs) == 0 {
		return false, nil
	}
	return true, j.begin(ctx, change.Cover{Heal: true, Tables: vs}, 0, j.at, nil)
}

// heldAlone reports whether a heal for everybody is open over a view that is stuck and over no view that goes on, and no
// other cover names it.
func (j *Join) heldAlone(name string) bool {
	held := false
	for _, c := range j.ledger.covers {
		switch {
		case !c.Cover.Names(name):
		case !c.Cover.Heal, c.Cover.For != "", slices.ContainsFunc(j.cfg.Plans, func(p *view.Plan) bool { return c.Cover.Names(p.Name) && !j.stuck(p.Name) }):
			return false
		default:
			held = true
		}
	}
	return held
}

// misfit reports whether rows have another shape than the engine can take: what stands in the stream between
// the state's place and the shapes that the views were compiled against. A cover brings the rows as they are.
func (j *Join) misfit(err error) bool { return j.cfg.Compile != nil && errors.Is(err, joiner.ErrShape) }
