package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// serveAsk begins the cover that the first waiting ask wants.
func (c *Capture) serveAsk(ctx context.Context) (bool, error) {
	for len(c.waiting) > 0 {
		a := c.waiting[0]
		c.waiting = c.waiting[1:]
		if answered(c.begins, a) {
			continue
		}
		tables, err := c.named(a.Tables)
		if err == nil && a.Reader == "" {
			// Only an operator, who has mended it, ends a pause. What is paused and a reader asks for is taken out of
			// its cover again by apart.
			tables, err = c.unpause(ctx, tables, a.Back)
		}
		var refused *refusal
		if errors.As(err, &refused) {
			if a.Done != nil {
				a.Done("", refused.StopError)
			}
			continue // a reader asks again, with the tables that it then knows of
		}
		if err != nil {
			return false, err
		}
		cover := change.Cover{ID: c.cfg.NewID(), Heal: a.Heal || c.holds(a, tables), For: a.Reader, Tables: names(tables), Range: a.Range}
		if cover.Heal && !a.Heal {
			cover.Range = change.WholeTable()
		}
		if a.Back {
			if cover.Back, err = c.src.Now(ctx); err != nil {
				return false, err
			}
		}
		if err := c.begin(ctx, cover, tables, a.Floor, c.pos); err != nil {
			return false, err
		}
		if a.Done != nil {
			a.Done(cover.ID, nil)
		}
		return true, nil
	}
	return false, nil
}

// holds reports whether an ask for everybody names a table that a pause has left at an earlier boundary: the cover
// that keeps its readers there cannot go on, and only a whole heal takes the table out of it.
func (c *Capture) holds(a Ask, tables []*change.Table) bool {
	return a.Reader == "" && slices.ContainsFunc(tables, func(t *change.Table) bool {
		return slices.ContainsFunc(c.ledger.ids(), func(id string) bool { return c.ledger.covers[id].Paused[t.ID.String()] != "" })
	})
}

// refusal says why an ask is not served; the stage goes on.
type refusal struct{ *StopError }

func (c *Capture) named(tables []string) ([]*change.Table, error) {
	if len(tables) == 0 {
		return c.shapes(), nil
	}
	var ts []*change.Table
	for _, n := range tables {
		t := c.tables[n]
		if t == nil {
			return nil, &refusal{&StopError{What: "table " + n + " is not captured",
				Hint: "known are " + strings.Join(slices.Sorted(maps.Keys(c.tables)), ", ")}}
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// unpause takes the shapes of now of tables that were paused: an operator who asks for them has mended
// what could not be followed. The log then goes on with these shapes. One that is not there is refused, or
// stays paused if everything is asked for.
func (c *Capture) unpause(ctx context.Context, tables []*change.Table, all bool) ([]*change.Table, error) {
	if !slices.ContainsFunc(tables, func(t *change.Table) bool { return c.paused[t.ID.String()] != "" }) {
		return tables, nil
	}
	now, err := c.catalog(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(tables)
	for i, t := range tables {
		name := t.ID.String()
		j := slices.IndexFunc(now, func(o *change.Table) bool { return o.ID == t.ID })
		switch {
		case c.paused[name] == "":
		case j >= 0:
			out[i] = now[j]
		case !all && c.whyUnfit(name) != nil:
			u := c.whyUnfit(name)
			return nil, &refusal{&StopError{What: fmt.Sprintf("table %s is paused: %s", name, u.Refused), Hint: u.Hint}}
		case !all:
			return nil, &refusal{&StopError{What: fmt.Sprintf("table %s is paused (%s), and the source has no such table", name, c.paused[name]),
				Hint: "make it or give it its name back, then run cdc resync " + name}}
		}
	}
	for i, t := range out {
		if t != tables[i] {
			delete(c.paused, t.ID.String())
			c.tables[t.ID.String()] = t
		}
	}
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	if err := c.reopen(ctx); err != nil {
		return nil, err
	}
	return out, c.missing(ctx, now)
}
