package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// ddl follows a statement that concerns captured tables, or heals or pauses what it cannot follow.
func (c *Capture) ddl(ctx context.Context, it *LogItem) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.inUnit = false
	var followed, healed, added []*change.Table
	for _, ch := range it.Change.Changes {
		c.cfg.Altered(ch.Table)
		t := c.tables[ch.Table]
		if ch.Created {
			if err := c.cfg.Added(ctx, ch.New); err != nil {
				return fmt.Errorf("make room for the new table %s: %w", ch.Table, err)
			}
			if err := c.cfg.Fail("capture-topic-made"); err != nil {
				return err
			}
			c.tables[ch.Table] = ch.New
			if c.paused[ch.Table] != "" { // it was dropped, and is there again
				delete(c.paused, ch.Table)
				healed = append(healed, ch.New)
				continue
			}
			added = append(added, ch.New)
			continue
		}
		if t == nil {
			continue
		}
		for _, j := range c.jobs {
			if j.table.ID == t.ID && j.window != nil {
				j.window.Spoil("DDL of the table")
			}
		}
		switch {
		case ch.Gone && !c.cfg.Reads(t.ID):
			if err := c.leave(ctx, t); err != nil {
				return err
			}
		case ch.Refused != "" && c.cfg.StopOnUnsupported:
			return &StopError{What: fmt.Sprintf("table %s cannot be followed through %q: %s", ch.Table, it.Change.Statement, ch.Refused), Hint: ch.Hint}
		case ch.Refused != "":
			c.setPaused(ch)
			healed = append(healed, t)
		case ch.Unlogged:
			if ch.New != nil {
				t = ch.New
			}
			c.tables[ch.Table] = t
			healed = append(healed, t)
		case ch.New != nil:
			c.tables[ch.Table] = ch.New
			followed = append(followed, ch.New)
		}
	}
	if len(healed) > 0 {
		healed = append(healed, added...)
		if c.cfg.Rules.off(ddlThenBegin) {
			c.waiting = append(c.waiting, Ask{Heal: true, Tables: names(healed)})
			return c.schema(ctx, it, append(healed, followed...))
		}
		// The schema unit is the begin: one record, so that nothing comes between.
		return c.begin(ctx, change.Cover{Heal: true, Tables: names(healed)}, append(healed, followed...), 0, it.Position)
	}
	if len(added) > 0 {
		return c.begin(ctx, change.Cover{Tables: names(added)}, append(added, followed...), 0, it.Position)
	}
	return c.schema(ctx, it, followed)
}

// leave forgets a table that is gone and that nobody reads; covers of it go on without it.
func (c *Capture) leave(ctx context.Context, t *change.Table) error {
	name := t.ID.String()
	c.jobs = slices.DeleteFunc(c.jobs, func(j *chunkJob) bool { return j.table.ID == t.ID })
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
	c.cfg.Left(t.ID)
	return nil
}

func (c *Capture) setPaused(ch TableChange) {
	why := ch.Refused + "; " + ch.Hint
	c.paused[ch.Table] = why
	c.cfg.Paused(ch.Table, why)
}

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
	if err := c.begin(ctx, change.Cover{Heal: true, Tables: []string{ch.Table}}, []*change.Table{t}, 0, c.pos); err != nil {
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
