package pipeline

import (
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// refilter gives tables of which the filter lets other columns through than when the stream was written the
// shapes that they have with the filter of now, at the place where the stream stands.
func (c *Capture) refilter(now []*change.Table) (other []*change.Table) {
	if c.cfg.Captures == nil {
		return nil
	}
	for _, t := range now {
		name := t.ID.String()
		if is := c.refiltered(c.tables[name], t); is != c.tables[name] {
			c.tables[name] = is
			other = append(other, is)
		}
	}
	return other
}

// refiltered returns the shape that was, with the columns that the filter lets through now; the same pointer if
// they are the same. A column that is neither in the shape nor was left out of it is not there yet: a statement
// that is still to be read brings it.
func (c *Capture) refiltered(was, now *change.Table) *change.Table {
	hidden := slices.ContainsFunc(was.Columns, func(col change.Column) bool { return !c.cfg.Captures(was.ID, col.Name) })
	if was.Fields == nil {
		if hidden {
			return now
		}
		return was
	}
	is := &change.Table{ID: was.ID, Fields: was.Fields, ForeignKeys: now.ForeignKeys, Version: was.Version + 1}
	gained := false
	for _, f := range was.Fields {
		had, has := was.Column(f), now.Column(f)
		switch {
		case had >= 0 && c.cfg.Captures(was.ID, f):
			is.Columns = append(is.Columns, was.Columns[had])
		case had < 0 && has >= 0:
			is.Columns, gained = append(is.Columns, now.Columns[has]), true
		}
	}
	if !hidden && !gained {
		return was
	}
	if is.Key = keyAs(is, now); is.Key == nil {
		is.Key = keyAs(is, was)
	}
	return is
}

// keyAs returns the key of the other shape in a shape; nil if it lacks a column of it.
func keyAs(t, other *change.Table) []int {
	var key []int
	for _, k := range other.Key {
		i := t.Column(other.Columns[k].Name)
		if i < 0 {
			return nil
		}
		key = append(key, i)
	}
	return key
}
