package oracle

import (
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Source is a database whose foreign keys act as InnoDB's do: it performs the actions and logs only the
// statement's own changes.
type Source struct {
	Shapes []*change.Table
	Rows   Tables
	log    []change.Event
	seq    change.Seq
}

// NewSource returns a source with empty tables.
func NewSource(shapes []*change.Table) *Source {
	s := &Source{Shapes: shapes, Rows: Tables{}}
	for _, t := range shapes {
		s.Rows[t.ID] = map[change.Key]change.Row{}
	}
	return s
}

// Commit ends a transaction and returns its events.
func (s *Source) Commit() []change.Event {
	evs := s.log
	s.log = nil
	s.seq++
	for i := range evs {
		evs[i].Seq, evs[i].Idx = s.seq, i
	}
	return evs
}

// Put inserts or updates the row; key is the row's key before, "" of an insert. It reports whether the
// statement was legal (a row with the new key must not exist).
func (s *Source) Put(t *change.Table, key change.Key, row change.Row, flags change.Flags) bool {
	to, err := t.RowKey(row)
	if err != nil {
		return false
	}
	rows := s.Rows[t.ID]
	if _, taken := rows[to]; taken && to != key {
		return false
	}
	if key == "" {
		rows[to] = row
		s.log = append(s.log, change.Event{Table: t, Op: change.Insert, After: row.Clone(), Flags: flags})
		return true
	}
	was := rows[key]
	delete(rows, key)
	rows[to] = row
	s.log = append(s.log, change.Event{Table: t, Op: change.Update, Before: was.Clone(), After: row.Clone(), Flags: flags})
	if flags&change.NoForeignKeys == 0 {
		s.act(t, was, row)
	}
	return true
}

// Delete removes the row.
func (s *Source) Delete(t *change.Table, key change.Key, flags change.Flags) {
	was := s.Rows[t.ID][key]
	delete(s.Rows[t.ID], key)
	s.log = append(s.log, change.Event{Table: t, Op: change.Delete, Before: was.Clone(), Flags: flags})
	if flags&change.NoForeignKeys == 0 {
		s.act(t, was, nil)
	}
}

// act performs the foreign keys' actions on the children of a changed row.
func (s *Source) act(parent *change.Table, was, is change.Row) {
	for _, child := range s.Shapes {
		for _, fk := range child.ForeignKeys {
			if fk.Parent != parent.ID {
				continue
			}
			s.actOne(parent, child, fk, was, is)
		}
	}
}

func (s *Source) actOne(parent, child *change.Table, fk change.ForeignKey, was, is change.Row) {
	action := fk.OnDelete
	if is != nil {
		action = fk.OnUpdate
		same := true
		for _, name := range fk.ParentBy {
			c := parent.Column(name)
			same = same && was[c] == is[c]
		}
		if same {
			return
		}
	}
	if action == change.NoAction {
		return
	}
	var hit []change.Key
	for key, row := range s.Rows[child.ID] {
		if s.refers(parent, child, fk, row, was) {
			hit = append(hit, key)
		}
	}
	slices.Sort(hit)
	for _, key := range hit {
		row := s.Rows[child.ID][key]
		delete(s.Rows[child.ID], key)
		if action == change.Cascade && is == nil {
			s.act(child, row, nil)
			continue
		}
		next := row.Clone()
		for i, name := range fk.Columns {
			next[child.Column(name)] = change.NullValue()
			if action == change.Cascade {
				next[child.Column(name)] = is[parent.Column(fk.ParentBy[i])]
			}
		}
		to, _ := child.RowKey(next)
		s.Rows[child.ID][to] = next
		s.act(child, row, next)
	}
}

func (s *Source) refers(parent, child *change.Table, fk change.ForeignKey, row, was change.Row) bool {
	for i, name := range fk.Columns {
		if row[child.Column(name)] != was[parent.Column(fk.ParentBy[i])] {
			return false
		}
	}
	return true
}
