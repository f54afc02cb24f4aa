package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// catalog asks the source for the captured tables that can be followed as they are now, and keeps why others cannot.
func (c *Capture) catalog(ctx context.Context) ([]*change.Table, error) {
	now, err := c.src.Tables(ctx)
	c.unfit = nil
	var unfit *UnfitError
	if errors.As(err, &unfit) {
		c.unfit, err = unfit.Tables, nil
	}
	return now, err
}

// whyUnfit returns why the table could not be followed when the source was asked last; nil if it could.
func (c *Capture) whyUnfit(table string) *TableChange {
	i := slices.IndexFunc(c.unfit, func(u TableChange) bool { return u.Table == table })
	if i < 0 {
		return nil
	}
	return &c.unfit[i]
}

// passOver pauses a table that cannot be followed as it is. It returns the table if readers are to be held at their
// boundary: the stream has it, and no cover holds them yet.
func (c *Capture) passOver(ch TableChange) (*change.Table, error) {
	if c.cfg.StopOnUnsupported {
		return nil, &StopError{What: fmt.Sprintf("table %s cannot be followed: %s", ch.Table, ch.Refused), Hint: ch.Hint}
	}
	was := c.paused[ch.Table]
	if was != reason(ch) {
		c.setPaused(ch)
	}
	known := c.tables[ch.Table] != nil || c.covered(c.w.State().Meta, ch.Table) || c.ledger.under(ch.Table, "")
	if was != "" || !known {
		return nil, nil
	}
	return c.tableOf(ch.Table), nil
}

// mended returns the paused tables that can be followed again because what they have got besides the columns of the
// stream is not captured any more. They begin anew, with their shapes of now.
func (c *Capture) mended(now []*change.Table) (again []*change.Table) {
	for _, t := range now {
		name := t.ID.String()
		was := c.tables[name]
		if c.paused[name] == "" || was == t || !was.SameShape(t) || slices.Equal(was.Fields, t.Fields) {
			continue
		}
		delete(c.paused, name)
		c.tables[name] = t
		again = append(again, t)
	}
	return again
}

// forgetPaused tells that tables which were paused, and which neither the source nor the stream has any more, left.
func (c *Capture) forgetPaused(before map[string]string) {
	for name := range before {
		if c.paused[name] == "" && c.tables[name] == nil {
			c.cfg.Left(change.ParseTableID(name))
		}
	}
}
