package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// spelling is how a sink spells names.
func spelling(c *config.Sink) sinks.Names {
	switch c.Names {
	case "snake_case":
		return sinks.SnakeCase
	case "lower":
		return sinks.LowerCase
	}
	return sinks.KeepNames
}

// The names of extra columns.
const (
	positionColumn  = "_cdc_position"
	appliedAtColumn = "_cdc_applied_at"
)

// extraColumns are the columns that a sink adds to every table.
func extraColumns(c *config.Sink) (e sinks.Extra) {
	if slices.Contains(c.ExtraColumns, "position") {
		e.Position = positionColumn
	}
	if slices.Contains(c.ExtraColumns, "applied_at") {
		e.AppliedAt = appliedAtColumn
	}
	return e
}

// spelled gives a target the shape that the destination's table has. What is asked of the source, or comes in a
// stream, has the source's.
func spelled(c *config.Sink, t sinks.Target) (sinks.Target, error) {
	var err error
	t.Table, err = spelling(c).Table(t.Table)
	return t, err
}

func allSpelled(c *config.Sink, targets []sinks.Target) ([]sinks.Target, error) {
	out := make([]sinks.Target, len(targets))
	for i, t := range targets {
		var err error
		if out[i], err = spelled(c, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// distinct refuses two sources of one destination table, names that are the destination's bookkeeping, and columns
// that are spelt alike.
func distinct(name string, c *config.Sink, targets []sinks.Target) error {
	from := map[string]string{}
	for _, t := range targets {
		to := t.Schema + "." + t.To
		if other, taken := from[to]; taken {
			return &pipeline.StopError{What: fmt.Sprintf("sinks.%s delivers %s and %s to one table, %s", name, other, t.From, strings.TrimPrefix(to, ".")),
				Hint: "deliver them by entries of their own, each with another schema or, for a view, another name (to)"}
		}
		from[to] = t.From
		if config.Bookkeeping(t.To) {
			return &pipeline.StopError{What: fmt.Sprintf("sinks.%s delivers %s to %s, a name that is kept for the bookkeeping at the destination", name, t.From, t.To),
				Hint: "give it another one with to, or leave it out of deliver"}
		}
		if _, err := spelled(c, t); err != nil {
			return &pipeline.StopError{What: "sinks." + name, Err: err}
		}
	}
	return nil
}

// followDistinct takes tables in that the source gets while a sink runs, but for those whose names the sink has given
// already: refused is told of them. The others go on.
func followDistinct(name string, c *config.Sink, known []sinks.Target, refused func(*change.Table, error)) func(*change.Table) (sinks.Target, bool) {
	return func(t *change.Table) (sinks.Target, bool) {
		target, ok := tableTarget(c, t)
		if !ok {
			return target, false
		}
		others := slices.DeleteFunc(slices.Clone(known), func(o sinks.Target) bool { return o.From == target.From })
		if err := distinct(name, c, append(others, target)); err != nil {
			refused(t, err)
			return sinks.Target{}, false
		}
		known = append(others, target)
		return target, true
	}
}
