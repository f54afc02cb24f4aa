package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// ddl follows a statement that concerns captured tables, heals what it changed without logging it, and puts aside
// what it cannot follow.
func (c *Capture) ddl(ctx context.Context, it *LogItem) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.inUnit = false
	e, err := c.meaning(ctx, it.Change)
	if err != nil {
		return err
	}
	// What waits for somebody has a cover of its own, which begins at the boundary before the statement. After a crash
	// between this and the statement's own unit the statement is read again, and finds it there.
	if err := c.lose(ctx, e.lost); err != nil {
		return err
	}
	if err := c.hold(ctx, e.refused); err != nil {
		return err
	}
	// The schema unit is the begin: one record, so that nothing comes between.
	switch {
	case len(e.healed) > 0 && c.cfg.Rules.off(ddlThenBegin):
		c.waiting = append(c.waiting, Ask{Heal: true, Tables: names(e.healed)})
		return c.schema(ctx, it, slices.Concat(e.healed, e.followed))
	case len(e.healed) > 0:
		covered := slices.Concat(e.healed, e.added)
		return c.begin(ctx, change.Cover{Heal: true, Tables: names(covered)}, slices.Concat(covered, e.followed), 0, it.Position)
	case len(e.added) > 0:
		return c.begin(ctx, change.Cover{Tables: names(e.added)}, slices.Concat(e.added, e.followed), 0, it.Position)
	}
	return c.schema(ctx, it, e.followed)
}

// meaning is what a statement as a whole means for the captured tables.
type meaning struct {
	followed, healed, added, refused []*change.Table
	lost                             []TableChange
}

// meaning takes the tables' shapes after a statement. Of the changes of a table the last one counts: one that is
// renamed away and put there again in one statement is another table of that name, and not gone.
func (c *Capture) meaning(ctx context.Context, s *SchemaChange) (e meaning, err error) {
	for i, ch := range s.Changes {
		c.cfg.Altered(ch.Table)
		for _, j := range c.jobs {
			if j.table.ID.String() == ch.Table && j.window != nil {
				j.window.Spoil("DDL of the table")
			}
		}
		if slices.ContainsFunc(s.Changes[i+1:], func(later TableChange) bool { return later.Table == ch.Table && (later.Gone || later.Created) }) {
			continue
		}
		t := c.tables[ch.Table]
		switch {
		case ch.Created && ch.New == nil:
			known, err := c.passOver(ch)
			if err != nil {
				return e, err
			}
			if known != nil {
				e.refused = append(e.refused, known)
			}
		case ch.Created:
			if err := c.makeRoom(ctx, ch.New); err != nil {
				return e, err
			}
			had := c.tableOf(ch.Table) != nil
			delete(c.paused, ch.Table)
			if c.tables[ch.Table] = ch.New; had {
				e.healed = append(e.healed, ch.New) // what readers hold is of the table that was
			} else {
				e.added = append(e.added, ch.New)
			}
		case ch.Gone:
			e.lost = append(e.lost, ch)
		case t == nil, ch.Refused != "" && c.paused[ch.Table] != "": // it is held already
		case ch.Refused != "" && c.cfg.StopOnUnsupported:
			return e, &StopError{What: fmt.Sprintf("table %s cannot be followed through %q: %s", ch.Table, s.Statement, ch.Refused), Hint: ch.Hint}
		case ch.Refused != "":
			c.setPaused(ch)
			e.refused = append(e.refused, t)
		case ch.Unlogged:
			if ch.New != nil {
				t = ch.New
			}
			c.tables[ch.Table] = t
			e.healed = append(e.healed, t)
		case ch.New != nil:
			c.tables[ch.Table] = ch.New
			e.followed = append(e.followed, ch.New)
		}
	}
	return e, nil
}

// makeRoom prepares the stream for a table that appeared.
func (c *Capture) makeRoom(ctx context.Context, t *change.Table) error {
	if err := c.cfg.Added(ctx, t); err != nil {
		return fmt.Errorf("make room for the new table %s: %w", t.ID, err)
	}
	return c.cfg.Fail("capture-topic-made")
}

// leave forgets a table that is gone and that no view reads; covers of it go on without it.
func (c *Capture) leave(ctx context.Context, id change.TableID) error {
	name := id.String()
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.jobs = slices.DeleteFunc(c.jobs, func(j *chunkJob) bool { return j.table.ID == id })
	had := c.tables[name] != nil || c.paused[name] != ""
	delete(c.tables, name)
	delete(c.paused, name)
	ch, err := c.ledger.leave(name)
	if err != nil {
		return err
	}
	if len(ch.meta) > 0 {
		if err := c.w.Begin(ctx); err != nil {
			return err
		}
		c.unit.open = true
		seq := c.w.State().Seq() + 1
		p := wire.Progress{Kind: change.Schema, SeqFrom: seq, SeqTo: seq, Position: c.pos}
		if err := c.commitUnit(ctx, p, ch.meta); err != nil {
			return err
		}
		c.ledger = ch.next
	}
	if had || len(ch.meta) > 0 {
		c.cfg.Left(id)
	}
	return nil
}

func (c *Capture) setPaused(ch TableChange) {
	c.paused[ch.Table] = reason(ch)
	c.cfg.Paused(ch.Table, reason(ch))
}

func reason(ch TableChange) string { return ch.Refused + "; " + ch.Hint }

// pause puts a table aside whose rows cannot be read. What of this transaction is in the open batch was
// written without them, so the batch is given up, the table's heal begins before it, and the log is read
// again from there without the table.
func (c *Capture) pause(ctx context.Context, ch TableChange) error {
	t := c.tables[ch.Table]
	if t == nil || c.paused[ch.Table] != "" {
		return nil
	}
	if c.cfg.StopOnUnsupported {
		return &StopError{What: fmt.Sprintf("table %s cannot be followed: %s", ch.Table, ch.Refused), Hint: ch.Hint}
	}
	if err := c.w.Abort(ctx); err != nil {
		return err
	}
	c.unit, c.inUnit, c.jobs = unitState{}, false, nil
	c.pos = c.w.State().Position()
	c.setPaused(ch)
	if err := c.hold(ctx, []*change.Table{t}); err != nil {
		return err
	}
	return c.reopen(ctx)
}

func (c *Capture) schema(ctx context.Context, it *LogItem, tables []*change.Table) error {
	st := c.w.State()
	seq := st.Seq() + 1
	var meta []wire.MetaRecord
	for _, t := range tables {
		name := t.ID.String()
		r, err := wire.EncodeMeta(wire.MetaTablePrefix+name, st.Meta.Tables[name].Next(seq, t))
		if err != nil {
			return err
		}
		meta = append(meta, r)
	}
	if err := c.w.Begin(ctx); err != nil {
		return err
	}
	c.unit.open = true
	p := wire.Progress{Kind: change.Schema, SeqFrom: seq, SeqTo: seq, Position: it.Position, CommitMicros: it.CommitMicros, Tables: tables}
	if err := c.commitUnit(ctx, p, meta); err != nil {
		return err
	}
	c.pos = it.Position
	return nil
}
