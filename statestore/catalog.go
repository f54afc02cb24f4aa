package statestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Layout is what the joiner wants kept of a table. The place in the list given to Configure is the
// table's number in all other calls; an index's number is its place when the indexes of all layouts are
// counted through.
type Layout struct {
	Shape   *change.Table
	Columns []int
	Indexes []string
}

// Gap is what the state lacks of a layout.
type Gap struct {
	Table change.TableID
	// New: the state never held the whole table.
	New bool
	// Columns were not kept until now: the table must be covered again. Rows read Absent there.
	Columns []string
	// Indexes were not kept until now: they must be built from the rows before the table is used.
	Indexes []int
}

// catalog is the durable register of tables and indexes.
type catalog struct {
	Tables  map[string]*tableEntry `json:"tables"`  // by TableID.String
	Indexes map[string]*indexEntry `json:"indexes"` // by table and name
	// Next is the next unused number, of tables and indexes alike: numbers are never used again.
	Next uint16 `json:"next"`
}

type tableEntry struct {
	Number uint16 `json:"number"`
	// Rows are written with the last layout and read with the one they name.
	Layouts []rowLayout `json:"layouts"`
	// Covered: every row of the table is here, with at least these columns.
	Covered []string `json:"covered,omitempty"`
	Whole   bool     `json:"whole,omitempty"`
}

type rowLayout struct {
	Number  uint16   `json:"number"` // from 1, never used again within the table
	Columns []string `json:"columns"`
}

type indexEntry struct {
	Number uint16 `json:"number"`
	Built  bool   `json:"built,omitempty"`
}

// tableState is a table as Configure prepared it.
type tableState struct {
	name    string
	number  uint16
	shape   *change.Table
	columns []int
	layout  uint16           // that rows are written with
	read    map[uint16][]int // layout -> column index per value, -1 of columns that are gone or changed
	blank   change.Row       // Absent in every column
}

// columnName identifies a stored column: a column of another kind is another column.
func columnName(c change.Column) string { return strings.ToLower(c.Name) + ":" + c.Type.Kind.String() }

func indexName(table, index string) string { return table + "/" + index }

func (c *catalog) clone() catalog {
	n := catalog{Tables: map[string]*tableEntry{}, Indexes: map[string]*indexEntry{}, Next: c.Next}
	for k, t := range c.Tables {
		e := *t
		e.Layouts = slices.Clone(t.Layouts)
		n.Tables[k] = &e
	}
	for k, x := range c.Indexes {
		e := *x
		n.Indexes[k] = &e
	}
	return n
}

// Configure prepares the store for the joiner's layouts and says what it lacks. Tables and indexes that
// are not named are removed. The change is durable when Configure returns.
func (s *Store) Configure(layouts []Layout) ([]Gap, error) {
	c := s.meta.catalog.clone()
	b := s.db.NewBatch()
	var gaps []Gap
	var states []tableState
	var indexes []uint16
	tables, names := map[string]bool{}, map[string]bool{}
	for _, l := range layouts {
		name := l.Shape.ID.String()
		st, gap := c.table(name, l)
		fresh := false
		for _, x := range l.Indexes {
			e := c.Indexes[indexName(name, x)]
			if e == nil {
				c.Next++
				e = &indexEntry{Number: c.Next, Built: gap.New}
				c.Indexes[indexName(name, x)] = e
				fresh = true
			}
			if !e.Built {
				gap.Indexes = append(gap.Indexes, len(indexes))
			}
			names[indexName(name, x)] = true
			indexes = append(indexes, e.Number)
		}
		if fresh && gap.New {
			// Rows of a cover that did not end have no entries in the new index; they will come again.
			if err := c.clear(b, name, l); err != nil {
				return nil, fmt.Errorf("configure state: %w", err)
			}
		}
		tables[name] = true
		states = append(states, st)
		if gap.New || len(gap.Columns) > 0 || len(gap.Indexes) > 0 {
			gaps = append(gaps, gap)
		}
	}
	if err := c.drop(b, tables, names); err != nil {
		return nil, fmt.Errorf("configure state: %w", err)
	}
	raw, err := json.Marshal(&c)
	if err == nil {
		err = b.Set(metaKey(metaCatalog), raw, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("configure state: %w", err)
	}
	if err := s.do(func() error { return b.Commit(pebble.Sync) }); err != nil {
		return nil, fmt.Errorf("configure state: %w", err)
	}
	s.meta.catalog, s.layouts, s.indexes = c, states, indexes
	s.version++
	s.rows.clear()
	return gaps, nil
}

// table enters one layout and says what the stored rows lack of it.
func (c *catalog) table(name string, l Layout) (tableState, Gap) {
	if c.Tables == nil {
		c.Tables, c.Indexes = map[string]*tableEntry{}, map[string]*indexEntry{}
	}
	var want []string
	for _, i := range l.Columns {
		want = append(want, columnName(l.Shape.Columns[i]))
	}
	e := c.Tables[name]
	if e == nil {
		c.Next++
		e = &tableEntry{Number: c.Next}
		c.Tables[name] = e
	}
	gap := Gap{Table: l.Shape.ID, New: !e.Whole}
	have := func(column string) bool { return slices.Contains(e.Covered, column) }
	for _, w := range want {
		if e.Whole && !have(w) {
			gap.Columns = append(gap.Columns, w[:strings.LastIndexByte(w, ':')])
		}
	}
	// What is written from now on has these columns only.
	e.Covered = slices.DeleteFunc(slices.Clone(e.Covered), func(x string) bool { return !slices.Contains(want, x) })
	last := len(e.Layouts) - 1
	if last < 0 || !slices.Equal(e.Layouts[last].Columns, want) {
		n := uint16(1)
		if last >= 0 {
			n = e.Layouts[last].Number + 1
		}
		e.Layouts = append(e.Layouts, rowLayout{Number: n, Columns: want})
		last = len(e.Layouts) - 1
	}
	st := tableState{name: name, number: e.Number, shape: l.Shape, columns: slices.Clone(l.Columns), layout: e.Layouts[last].Number, read: map[uint16][]int{}}
	for _, old := range e.Layouts {
		st.read[old.Number] = positions(old.Columns, l)
	}
	st.blank = make(change.Row, len(l.Shape.Columns))
	for i := range st.blank {
		st.blank[i] = change.AbsentValue()
	}
	return st, gap
}

// positions says where the values of a stored row go.
func positions(stored []string, l Layout) []int {
	at := make([]int, len(stored))
	for i, name := range stored {
		at[i] = -1
		for _, c := range l.Columns {
			if columnName(l.Shape.Columns[c]) == name {
				at[i] = c
			}
		}
	}
	return at
}

// clear removes the rows of a table and the entries of its indexes.
func (c *catalog) clear(b *pebble.Batch, name string, l Layout) error {
	n := c.Tables[name].Number
	err := b.DeleteRange(appendPrefix(nil, spaceRow, n), appendPrefixEnd(nil, spaceRow, n), nil)
	for _, x := range l.Indexes {
		n := c.Indexes[indexName(name, x)].Number
		err = errors.Join(err, b.DeleteRange(appendPrefix(nil, spaceIndex, n), appendPrefixEnd(nil, spaceIndex, n), nil))
	}
	return err
}

// drop removes tables and indexes that are not wanted any more.
func (c *catalog) drop(b *pebble.Batch, tables, indexes map[string]bool) error {
	for name, e := range c.Tables {
		if tables[name] {
			continue
		}
		for _, space := range [2]byte{spaceRow, spaceNote} {
			if err := b.DeleteRange(appendPrefix(nil, space, e.Number), appendPrefixEnd(nil, space, e.Number), nil); err != nil {
				return err
			}
		}
		delete(c.Tables, name)
	}
	for name, e := range c.Indexes {
		if indexes[name] {
			continue
		}
		if err := b.DeleteRange(appendPrefix(nil, spaceIndex, e.Number), appendPrefixEnd(nil, spaceIndex, e.Number), nil); err != nil {
			return err
		}
		delete(c.Indexes, name)
	}
	return nil
}
