package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// viewText is a view's file as the start read it: a file that is edited while the daemon runs counts from the
// next start on.
type viewText struct {
	file string
	text []byte
	// name is the view's, once it has compiled.
	name string
}

// compileViews compiles all views at the start; each must fit.
func (s *service) compileViews(tables []*change.Table) ([]*view.Plan, error) {
	files, err := viewFiles(s.cfg)
	if err != nil {
		return nil, err
	}
	var texts []viewText
	read := func(file string) ([]byte, error) {
		text, err := os.ReadFile(file)
		texts = append(texts, viewText{file: file, text: text})
		return text, err
	}
	var plans []*view.Plan
	var bad []error
	for i, c := range compileAll(files, catalog(tables), read) {
		if c.Err != nil {
			bad = append(bad, c.Err)
			continue
		}
		texts[i].name = c.Plan.Name
		plans = append(plans, c.Plan)
		s.warnOfCascades(&c)
	}
	if len(bad) > 0 {
		return nil, &pipeline.StopError{What: "a view does not compile", Err: errors.Join(bad...), Hint: "cdc view check FILE explains it"}
	}
	s.viewTexts = texts
	return plans, nil
}

func (s *service) warnOfCascades(c *compiled) {
	for _, k := range c.Cascades {
		if !k.Handled {
			s.log.Warn("a foreign key changes rows without the source logging it: "+k.Reason, "view", c.Plan.Name, "table", k.Child.String(),
				"foreign_key", k.Key, "hint", "cdc resync "+k.Child.String()+" mends the rows that it changes")
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
			s.log.Error("view paused: it does not fit the new shape of its tables, the others go on", "stage", "join", "view", t.name, "err", c.Err, "hint", refusedHint)
			continue
		}
		plans = append(plans, c.Plan)
		s.warnOfCascades(&c)
	}
	s.log.Info("views compiled anew: a table has another shape", "stage", "join", "views", len(plans), "paused", len(refused))
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
