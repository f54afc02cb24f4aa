package pipeline

import (
	"context"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// untilDue is how long the open batch may still wait.
func (c *Capture) untilDue() time.Duration {
	now := c.clock.Now()
	least := c.cfg.Pace()
	switch {
	case c.unit.rows > 0:
	case c.unit.from > 0 || c.unit.positionOnly:
		least = max(least, c.cfg.MoveEvery)
	default:
		least = max(least, c.cfg.IdleEvery)
	}
	return max(0, c.lastWrite.Add(least).Sub(now))
}

// commitIfDue ends the open batch when the log has nothing more to add to it, or when it is old enough.
func (c *Capture) commitIfDue(ctx context.Context, quiet bool) error {
	if c.inUnit {
		return nil
	}
	u := &c.unit
	if c.untilDue() > 0 || u.rows > 0 && !quiet && c.clock.Now().Sub(u.since) < c.cfg.BatchDelay {
		return nil
	}
	return c.commit(ctx)
}

// commit writes the open batch: whole transactions, or an idle record that moves the position.
func (c *Capture) commit(ctx context.Context) error {
	u := &c.unit
	p := wire.Progress{Kind: change.Changes, SeqFrom: u.from, SeqTo: u.to, Position: c.pos, CommitMicros: u.commitMicros}
	if u.from == 0 {
		last := c.w.State().Seq()
		p.Kind, p.SeqFrom, p.SeqTo = change.Idle, last+1, last
	}
	if !u.open {
		if err := c.w.Begin(ctx); err != nil {
			return err
		}
		u.open = true
	}
	return c.commitUnit(ctx, p, nil)
}

// commitUnit commits the open Kafka transaction with its progress record.
func (c *Capture) commitUnit(ctx context.Context, p wire.Progress, meta []wire.MetaRecord) error {
	started := c.clock.Now()
	if err := c.cfg.Fail("capture-before-commit"); err != nil {
		return err
	}
	mark, err := c.w.Commit(ctx, p, meta)
	if err != nil {
		return err
	}
	if err := c.cfg.Fail("capture-after-commit"); err != nil {
		return err
	}
	u := c.unit
	c.unit = unitState{}
	c.lastWrite = c.clock.Now()
	c.cfg.Observe(Committed{Stream: c.cfg.Stream, Kind: p.Kind, Units: int(p.SeqTo + 1 - p.SeqFrom), Rows: u.rows, ByTable: u.byTable,
		Mark: mark, Took: c.lastWrite.Sub(started), CommitMicros: p.CommitMicros, Cover: p.Cover})
	return nil
}

// flush commits what is pending before a unit that has to be alone.
func (c *Capture) flush(ctx context.Context) error {
	if c.unit.from == 0 && !c.unit.open {
		return nil
	}
	return c.commit(ctx)
}
