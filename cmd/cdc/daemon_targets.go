package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks"
)

// delivered is what a sink gets of one stream.
type delivered struct {
	stream  string
	targets []sinks.Target
	// follow takes tables in that the source gets later; nil for views, which a reload does not add.
	follow func(*change.Table) (sinks.Target, bool)
}

// deliveries says what a sink gets: of the view stream, of the raw stream, or of both, in this order.
func (s *service) deliveries(name string, c *config.Sink) ([]delivered, error) {
	s.mu.Lock()
	plans, shapes, stream := s.plans, s.shapes, s.cfg.Name
	s.mu.Unlock()
	var list []delivered
	views, err := viewTargets(name, c, plans)
	if err != nil {
		return nil, err
	}
	if len(views) > 0 {
		list = append(list, delivered{stream: s.viewStream(), targets: views})
	}
	if !slices.ContainsFunc(c.Deliver, func(d config.Deliver) bool { return d.From.View == "" }) {
		return list, distinct(name, c, views)
	}
	gone := s.track.PausedTables()
	raw := delivered{stream: stream, follow: func(t *change.Table) (sinks.Target, bool) { return tableTarget(c, t) }}
	for _, t := range shapes {
		// A table that is put aside is never covered, and would keep the others from being shown.
		if target, ok := raw.follow(t); ok && gone[t.ID.String()] == "" {
			raw.targets = append(raw.targets, target)
		}
	}
	all := append(slices.Clone(views), raw.targets...)
	if err := distinct(name, c, all); err != nil {
		return nil, err
	}
	raw.follow = followDistinct(name, c, all, func(t *change.Table, err error) {
		s.log.Error("a table that the source has got is not delivered", "stage", "deliver", "sink", name, "table", t.ID.String(), "err", err)
	})
	return append(list, raw), nil
}

// viewTargets finds the views that a sink delivers.
func viewTargets(name string, c *config.Sink, plans []*view.Plan) ([]sinks.Target, error) {
	var targets []sinks.Target
	for _, d := range c.Deliver {
		if d.From.View == "" {
			continue
		}
		i := slices.IndexFunc(plans, func(p *view.Plan) bool { return strings.EqualFold(d.From.View, p.Name) })
		if i < 0 {
			return nil, &pipeline.StopError{What: fmt.Sprintf("sinks.%s delivers %s, and there is no such view", name, d.From),
				Hint: "cdc view list names them; their files are in views.dir"}
		}
		targets = append(targets, target(c, d, plans[i].Output))
	}
	return targets, nil
}

// tableTarget is what a sink makes of a source table. Without a key rows cannot be told apart, so such a
// table is not delivered.
func tableTarget(c *config.Sink, t *change.Table) (sinks.Target, bool) {
	if len(t.Key) == 0 {
		return sinks.Target{}, false
	}
	for _, d := range c.Deliver {
		if d.From.View == "" && d.From.Tables.MatchString(t.ID.String()) {
			return target(c, d, t), true
		}
	}
	return sinks.Target{}, false
}

// target is what a sink makes of a view or table: its names as the sink spells them, but for the columns of Table,
// which are the source's (see spelled).
func target(c *config.Sink, d config.Deliver, t *change.Table) sinks.Target {
	to := d.To
	if to == "" {
		to = spelling(c).Spell(t.ID.Name)
	}
	return sinks.Target{From: t.ID.String(), Table: t, To: to, Schema: d.Schema, Identity: d.Identity, Changes: schemaChanges(c.SchemaChanges),
		Soft: d.Delete == "soft", SoftColumn: spelling(c).Spell(sinks.Target{}.MarkColumn()), Extra: extraColumns(c),
		Adopt: c.Adopt, Progressive: c.Heal == "progressive"}
}

func schemaChanges(word string) sinks.SchemaChanges {
	switch word {
	case "strict":
		return sinks.Strict
	case "off":
		return sinks.Off
	}
	return sinks.Expand
}

// reads reports whether a view reads a table.
func (s *service) reads(id change.TableID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plans {
		if slices.ContainsFunc(p.Inputs, func(in view.Input) bool { return in.Table.ID == id }) {
			return true
		}
	}
	return false
}

// captures reports whether a table is captured now: the source has it.
func (s *service) captures(table string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.tables, table)
}

// tableLeft forgets a table that the source has no more.
func (s *service) tableLeft(id change.TableID) {
	s.track.Left(id.String())
	s.mu.Lock()
	s.ids = slices.DeleteFunc(slices.Clone(s.ids), func(o change.TableID) bool { return o == id })
	s.tables = slices.DeleteFunc(slices.Clone(s.tables), func(o string) bool { return o == id.String() })
	s.shapes = slices.DeleteFunc(slices.Clone(s.shapes), func(o *change.Table) bool { return o.ID == id })
	s.mu.Unlock()
	s.log.Info("table left: the source has it no more, and no view reads it; what destinations made of it stays", "stage", "capture", "table", id.String())
}
