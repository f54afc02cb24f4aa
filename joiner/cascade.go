package joiner

import (
	"fmt"
	"math"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// Cascade is a foreign key whose actions the source performs without logging them.
type Cascade struct {
	Child  change.TableID
	Parent change.TableID
	Key    string
	// Handled: the engine performs the actions on its stored rows. If not, Reason says why, and the rows
	// of Child stay as they were until they are covered again.
	Handled bool
	// FromLog: no view reads the parent, so that only its logged changes are followed, and not what
	// foreign keys of its own do to it.
	FromLog bool
	Reason  string
}

// Cascades lists the foreign keys of the tables that views read whose actions the server does not log
// and that can change what a view shows.
func (e *Engine) Cascades() []Cascade { return slices.Clone(e.cascades) }

// maxCascadeDepth is InnoDB's own limit of nested actions.
const maxCascadeDepth = 15

// cascade performs one foreign key's actions.
type cascade struct {
	child    *table
	key      change.ForeignKey
	columns  []int // of the child
	parentBy []int // of the parent; by name in the event's shape when no view reads the parent
	access   access
}

func (e *Engine) addCascades() {
	e.watched = map[change.TableID][]*cascade{}
	for _, t := range e.tables {
		for _, fk := range t.shape.ForeignKeys {
			if fk.Logged || fk.OnDelete == change.NoAction && fk.OnUpdate == change.NoAction {
				continue
			}
			c := &cascade{child: t, key: fk}
			reason, matters := e.prepareCascade(c)
			if !matters {
				continue
			}
			e.cascades = append(e.cascades, Cascade{Child: t.shape.ID, Parent: fk.Parent, Key: fk.Name,
				Handled: reason == "", Reason: reason, FromLog: e.byID[fk.Parent] == nil})
		}
	}
}

// prepareCascade finds how the child's rows are found from the parent's. A reason says why they cannot be.
func (e *Engine) prepareCascade(c *cascade) (reason string, matters bool) {
	t, fk := c.child, c.key
	matters = fk.OnDelete == change.Cascade
	for _, name := range fk.Columns {
		i := t.shape.Column(name)
		if i < 0 {
			return "column " + name + " is not captured", true
		}
		c.columns = append(c.columns, i)
		matters = matters || t.keep[i]
	}
	if !matters {
		return "", false
	}
	if len(fk.Columns) != len(fk.ParentBy) || len(fk.Columns) == 0 {
		return "its columns are unknown", true
	}
	for _, i := range c.columns {
		if !t.keep[i] {
			return "no view reads column " + t.shape.Columns[i].Name, true
		}
	}
	if !c.findAccess() {
		return "no join uses its columns", true
	}
	parent := e.byID[fk.Parent]
	if parent == nil {
		e.watched[fk.Parent] = append(e.watched[fk.Parent], c)
		return "", true
	}
	for _, name := range fk.ParentBy {
		i := parent.shape.Column(name)
		if i < 0 {
			return "column " + name + " of the parent is not captured", true
		}
		c.parentBy = append(c.parentBy, i)
		parent.keep[i] = true
	}
	parent.children = append(parent.children, c)
	return "", true
}

// findAccess picks an index whose columns all belong to the foreign key; access.from holds places in
// the foreign key's column list.
func (c *cascade) findAccess() bool {
	t := c.child
	from := func(columns []int) []int {
		var at []int
		for _, x := range columns {
			i := slices.Index(c.columns, x)
			if i < 0 {
				return nil
			}
			at = append(at, i)
		}
		return at
	}
	for _, x := range t.indexes {
		if at := from(x.columns); at != nil {
			c.access = access{table: t, index: x, from: at}
			return true
		}
	}
	for n := len(t.shape.Key); n > 0; n-- {
		columns := t.shape.Key[:n]
		at := from(columns)
		if at == nil || slices.ContainsFunc(columns, func(k int) bool {
			kind := t.shape.Columns[k].Type.Kind
			return kind == change.String || kind == change.Float || kind == change.Double
		}) {
			continue
		}
		c.access, _ = t.keyAccess(columns, at, make([]view.Comparison, n))
		return true
	}
	return false
}

// cascade performs what the source did to the children of a changed row without logging it; after is
// nil of a delete. The event's own before-image counts: it is what the source acted upon.
func (b *Batch) cascade(t *table, before, after change.Row, flags change.Flags, depth int) error {
	if len(t.children) == 0 || flags&change.NoForeignKeys != 0 {
		return nil
	}
	for _, c := range t.children {
		if err := b.follow(c, c.parentBy, before, after, depth); err != nil {
			return fmt.Errorf("follow foreign key %s of %s: %w", c.key.Name, c.child.shape.ID, err)
		}
	}
	return nil
}

// watch follows the foreign keys to a table that no view reads.
func (b *Batch) watch(cs []*cascade, ev *change.Event) error {
	if ev.Flags&change.NoForeignKeys != 0 || ev.Op != change.Delete && ev.Op != change.Update {
		return nil
	}
	for _, c := range cs {
		var by []int
		for _, name := range c.key.ParentBy {
			i := ev.Table.Column(name)
			if i < 0 {
				return fmt.Errorf("follow foreign key %s of %s: column %s of the parent: %w", c.key.Name, c.child.shape.ID, name, ErrShape)
			}
			by = append(by, i)
		}
		if err := b.follow(c, by, ev.Before, ev.After, 0); err != nil {
			return fmt.Errorf("follow foreign key %s of %s: %w", c.key.Name, c.child.shape.ID, err)
		}
	}
	return nil
}

func (b *Batch) follow(c *cascade, by []int, before, after change.Row, depth int) error {
	action := c.key.OnDelete
	old, new := make(change.Row, len(by)), make(change.Row, len(by))
	for i, p := range by {
		old[i] = before[p]
		if old[i].IsAbsent() {
			return ErrIncomplete
		}
		if after != nil {
			if new[i] = after[p]; new[i].IsAbsent() {
				new[i] = old[i]
			}
		}
	}
	if after != nil {
		if action = c.key.OnUpdate; old.Equal(new) {
			return nil
		}
	}
	if action == change.NoAction {
		return nil
	}
	if depth >= maxCascadeDepth {
		return fmt.Errorf("more than %d nested actions", maxCascadeDepth)
	}
	page := b.e.childPage
	if action == change.Cascade && after != nil && b.sameJoin(c, old, new) {
		page = math.MaxInt // they are found under the new values as well: one pass, or it would not end
	}
	for {
		children, err := b.childrenOf(c, old, page)
		if err != nil {
			return err
		}
		for _, row := range children {
			if err := b.act(c, row, new, action, after == nil, depth); err != nil {
				return err
			}
		}
		if len(children) < page {
			return nil
		}
		if err := b.spillIfFull(); err != nil {
			return err
		}
	}
}

// childPage is how many children are held at once (Engine.childPage, save in tests); those that were
// acted upon are not found again.
const childPage = 50_000

// sameJoin reports whether the index cannot tell the parent's values before and after.
func (b *Batch) sameJoin(c *cascade, old, new change.Row) bool {
	x := c.access.index
	was, had := x.appendLookup(b.joinOld[:0], old, c.access.from)
	is, has := x.appendLookup(b.joinBuf[:0], new, c.access.from)
	b.joinOld, b.joinBuf = was, is
	return had == has && string(was) == string(is)
}

// childrenOf returns up to limit child rows, as they stand in the batch, that refer to the parent values.
func (b *Batch) childrenOf(c *cascade, parent change.Row, limit int) ([]change.Row, error) {
	var rows []change.Row
	f := newFinder(&c.access, func(_ *entry, row change.Row) bool {
		for i, x := range c.columns {
			if !slices.Contains(c.access.index.columns, x) && row[x] != parent[i] {
				return true
			}
		}
		rows = append(rows, row)
		return len(rows) < limit
	})
	f.b = b
	_, err := f.find(parent, lookNew)
	return rows, err
}

// act performs the action on one child row and follows what that entails.
func (b *Batch) act(c *cascade, row, parent change.Row, action change.Action, deleted bool, depth int) error {
	t := c.child
	b.stats.Cascaded++
	key, err := t.shape.AppendRowKey(b.keyBuf[:0], row)
	if err != nil {
		return err
	}
	b.keyBuf = key
	from := b.entry(t, key)
	if action == change.Cascade && deleted {
		b.set(t, from, nil)
		return b.cascade(t, row, nil, 0, depth+1)
	}
	next := b.arena.row(len(row))
	copy(next, row)
	for i, x := range c.columns {
		if action == change.SetNull {
			next[x] = change.NullValue()
		} else {
			next[x] = parent[i]
		}
	}
	if key, err = t.shape.AppendRowKey(b.keyBuf[:0], next); err != nil {
		return err
	}
	b.keyBuf = key
	if string(key) != from.key {
		b.set(t, from, nil)
		from = b.entry(t, key)
	}
	b.set(t, from, next)
	return b.cascade(t, row, next, 0, depth+1)
}
