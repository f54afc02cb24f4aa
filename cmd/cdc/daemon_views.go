package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// viewText is a view's file as the start read it: a file that is edited while the daemon runs counts from the
// next start on.
type viewText struct {
	file string
	text []byte
	// name is the view's.
	name string
}

// compileViews compiles all views at the start. One that does not fit its tables, and that the stream has from
// before, is refused by name; the first result then has what the stream knows of it instead of a plan. Of a view
// that the stream has not, nothing is shown anywhere that could be held: it is an error.
func (s *service) compileViews(ctx context.Context, client kafka.Config, tables []*change.Table) (plans []*view.Plan, refused map[string]error, err error) {
	files, err := viewFiles(s.cfg)
	if err != nil {
		return nil, nil, err
	}
	var texts []viewText
	read := func(file string) ([]byte, error) {
		text, err := os.ReadFile(file)
		texts = append(texts, viewText{file: file, text: text})
		return text, err
	}
	all := compileAll(files, catalog(tables), read)
	held := map[string]*wire.ViewState{}
	if slices.ContainsFunc(all, func(c compiled) bool { return c.Err != nil }) {
		if held, err = s.heldViews(ctx, client); err != nil {
			return nil, nil, err
		}
	}
	refused = map[string]error{}
	var bad []error
	for i, c := range all {
		p := c.Plan
		if c.Err != nil {
			if p = heldPlan(&c, held); p == nil {
				bad = append(bad, c.Err)
				continue
			}
			refused[p.Name] = c.Err
			s.logRefused(p.Name, c.Err)
		}
		texts[i].name = p.Name
		plans = append(plans, p)
		s.warnOfCascades(&c)
	}
	if len(bad) > 0 {
		return nil, nil, withStatus(exitUnknown, &pipeline.StopError{What: "a view does not compile", Err: errors.Join(bad...), Hint: "cdc view check FILE explains it"})
	}
	s.viewTexts = texts
	return plans, refused, nil
}

// heldViews returns the views that the view stream has, by name; none if there is no such stream yet.
func (s *service) heldViews(ctx context.Context, client kafka.Config) (map[string]*wire.ViewState, error) {
	adm, err := kafka.NewAdmin(client)
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	topic := stream.MetaTopic(s.viewStream())
	there, err := adm.List(ctx, topic)
	if err != nil || there[topic] == 0 {
		return nil, err
	}
	var cl closers
	defer func() { cl.close() }()
	l, err := openLog(client, &cl)
	if err != nil {
		return nil, err
	}
	m, err := stream.ReadMeta(ctx, l, s.viewStream())
	if err != nil {
		return nil, err
	}
	return m.Views, nil
}

// heldPlan is what the stream knows of a view whose file does not compile: its name, its last definition's hash
// and its shape, not how to compute it; nil if it has no view of the file's name.
func heldPlan(c *compiled, held map[string]*wire.ViewState) *view.Plan {
	for name, v := range held {
		if !view.Names(c.File, name) {
			continue
		}
		p := &view.Plan{Name: name, Hash: v.Hash, Output: v.Shape.Table}
		for _, t := range c.Reads {
			p.Inputs = append(p.Inputs, view.Input{Table: t, Parent: -1})
		}
		return p
	}
	return nil
}

func (s *service) logRefused(name string, err error) {
	s.log.Error("view paused: it does not fit the shape of its tables, the others go on", "stage", "join", "view", name, "err", err, "hint", refusedHint)
}

// fitting are the plans that are not refused, and aside the others.
func fitting(plans []*view.Plan, refused map[string]error) (fit, aside []*view.Plan) {
	for _, p := range plans {
		if refused[p.Name] != nil {
			aside = append(aside, p)
		} else {
			fit = append(fit, p)
		}
	}
	return fit, aside
}

func (s *service) warnOfCascades(c *compiled) {
	for _, k := range c.Cascades {
		if !k.Handled {
			s.log.Warn("foreign key "+k.Key+" changes rows without the source logging it: "+k.Reason, "view", c.Plan.Name, "table", k.Child.String(),
				"hint", "cdc resync "+k.Child.String()+" mends the rows that it changes")
		}
	}
}

// recompile compiles the views against tables that have other shapes now. Views that no longer fit are
// refused; the status shows them with the reason until they fit again.
func (s *service) recompile(tables []*change.Table) (plans []*view.Plan, refused map[string]error) {
	refused = map[string]error{}
	s.mu.Lock()
	ids := s.ids
	s.mu.Unlock()
	// The stream still knows tables that the filter has lost.
	tables = slices.DeleteFunc(slices.Clone(tables), func(t *change.Table) bool { return !slices.Contains(ids, t.ID) })
	for _, t := range s.viewTexts {
		c := compileAll([]string{t.file}, catalog(tables), func(string) ([]byte, error) { return t.text, nil })[0]
		if c.Err != nil {
			refused[t.name] = c.Err
			s.logRefused(t.name, c.Err)
			continue
		}
		plans = append(plans, c.Plan)
		s.warnOfCascades(&c)
	}
	s.log.Info(fmt.Sprintf("views compiled anew, a table has another shape: %d of %d are paused", len(refused), len(plans)+len(refused)), "stage", "join")
	s.mu.Lock()
	defer s.mu.Unlock()
	// Of a refused view, destinations keep what they have: commands go on knowing its last plan.
	known := slices.Clone(plans)
	for _, p := range s.plans {
		if refused[p.Name] != nil {
			known = append(known, p)
		}
	}
	slices.SortFunc(known, func(a, b *view.Plan) int { return strings.Compare(a.Name, b.Name) })
	s.plans, s.refused = known, refused
	return plans, refused
}

const refusedHint = "mend the view's file (cdc view check FILE explains it) and start the daemon again, or give the table back what the view reads and run cdc resync TABLE"
