package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// lose puts tables aside that the source has no more, or forgets those that no view reads: their topics and what
// destinations made of them stay as they are. It stands between two units.
func (c *Capture) lose(ctx context.Context, lost []TableChange) error {
	var held []*change.Table
	for _, ch := range lost {
		t := c.tableOf(ch.Table)
		if !ch.Gone {
			known, err := c.passOver(ch)
			if err != nil {
				return err
			}
			if known != nil {
				held = append(held, known)
			}
			continue
		}
		if t == nil || !c.cfg.Reads(t.ID) {
			if err := c.leave(ctx, change.ParseTableID(ch.Table)); err != nil {
				return err
			}
			continue
		}
		if c.paused[ch.Table] != "" {
			continue // a cover of its own holds it already
		}
		if c.cfg.StopOnUnsupported {
			return &StopError{What: fmt.Sprintf("table %s cannot be followed: %s", ch.Table, ch.Refused), Hint: ch.Hint}
		}
		c.setPaused(ch)
		held = append(held, t)
	}
	return c.hold(ctx, held)
}

// hold begins the cover that keeps readers of paused tables at their boundary. It names nothing else, so that nobody
// else waits for what may never come.
func (c *Capture) hold(ctx context.Context, paused []*change.Table) error {
	if len(paused) == 0 {
		return nil
	}
	return c.begin(ctx, change.Cover{Heal: true, Tables: names(paused)}, paused, 0, c.pos)
}

// apart takes paused tables out of covers that name others as well: a reader's own, and those of earlier versions.
func (c *Capture) apart(ctx context.Context) (bool, error) {
	var held []*change.Table
	for _, id := range c.ledger.ids() {
		cover := c.ledger.covers[id].Cover
		var paused []*change.Table
		for _, name := range cover.Tables {
			if t := c.tableOf(name); t != nil && c.paused[name] != "" {
				paused = append(paused, t)
			}
		}
		if len(paused) == len(cover.Tables) {
			continue
		}
		for _, t := range paused {
			if !slices.Contains(held, t) {
				held = append(held, t)
			}
		}
	}
	return len(held) > 0, c.hold(ctx, held)
}

// tableOf is a table as the stream knows it, also one that the source has no more; nil of one that it never had.
func (c *Capture) tableOf(name string) *change.Table {
	if t := c.tables[name]; t != nil {
		return t
	}
	if v := c.w.State().Meta.Tables[name]; v != nil {
		return v.Table
	}
	return nil
}

// missing loses the tables that are covered, or that covers wait for, and that are not among those of now, and those
// that cannot be followed as they are: the log, read with the shapes of now, will not say what became of them.
func (c *Capture) missing(ctx context.Context, now []*change.Table) error {
	lost := slices.Clone(c.unfit)
	lose := func(name string) {
		is := func(t *change.Table) bool { return t.ID.String() == name }
		if !slices.ContainsFunc(now, is) && !slices.ContainsFunc(lost, func(l TableChange) bool { return l.Table == name }) {
			lost = append(lost, isMissing(name))
		}
	}
	for _, t := range c.shapes() {
		lose(t.ID.String())
	}
	for _, id := range c.ledger.ids() {
		for _, name := range c.ledger.covers[id].Cover.Tables {
			lose(name)
		}
	}
	return c.lose(ctx, lost)
}

func isMissing(name string) TableChange {
	return TableChange{Table: name, Gone: true, Refused: "the source has no such table any more", Hint: hintGone(name)}
}

func hintGone(table string) string { return "when it is there again, run cdc resync " + table }

// settleAhead decides about a chunk whose table was not, or not as, the stream knows it when it was read. What the
// log says of the table drops the chunk; when the log has nothing more to say, the table is lost.
func (c *Capture) settleAhead(ctx context.Context, j *chunkJob) (bool, error) {
	if c.tables[j.table.ID.String()] != j.table || j.window != nil && j.window.Spoiled() != "" {
		c.drop(j)
		return true, nil // the log has said it: it is read again, as it is now
	}
	passed, err := c.places.Contains(c.pos, j.result.High)
	if err != nil || !passed {
		return false, err
	}
	c.drop(j)
	now, err := c.catalog(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(now, func(t *change.Table) bool { return t.ID == j.table.ID }) {
		return false, errors.Join(j.result.Err, errNotInLog)
	}
	lost := isMissing(j.table.ID.String())
	if u := c.whyUnfit(lost.Table); u != nil {
		lost = *u
	}
	return true, c.lose(ctx, []TableChange{lost})
}

var errNotInLog = errors.New("the log says nothing of a change of the table")
