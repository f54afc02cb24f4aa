// Package memstate keeps the joiner's state in memory: for tests and simulations, and as the reference of
// what a state does.
package memstate

import (
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// State holds rows and indexes. It implements joiner.State, and joiner.Writer with immediate effect, so a
// batch may be flushed into it once nothing more is read for that batch. Not safe for concurrent use.
type State struct {
	tables  []*sorted[change.Row]
	indexes []*sorted[struct{}]
	notes   []map[string]struct{}
}

// New returns an empty state.
func New() *State { return &State{} }

// sorted is an ordered map; the order is made when it is asked for.
type sorted[V any] struct {
	m     map[string]V
	keys  []string
	dirty bool
}

func (s *sorted[V]) set(k string, v V) {
	if _, ok := s.m[k]; !ok {
		s.dirty = true
	}
	s.m[k] = v
}

func (s *sorted[V]) remove(k string) {
	if _, ok := s.m[k]; ok {
		delete(s.m, k)
		s.dirty = true
	}
}

func (s *sorted[V]) between(lo, hi string, bounded bool) []string {
	if s.dirty {
		s.keys = s.keys[:0]
		keys := make([]string, 0, len(s.m))
		for k := range s.m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		s.keys, s.dirty = keys, false
	}
	from, _ := slices.BinarySearch(s.keys, lo)
	to := len(s.keys)
	if bounded {
		to, _ = slices.BinarySearch(s.keys, hi)
	}
	if from >= to {
		return nil
	}
	return s.keys[from:to]
}

func at[V any](list *[]*sorted[V], i int) *sorted[V] {
	for len(*list) <= i {
		*list = append(*list, &sorted[V]{m: map[string]V{}})
	}
	return (*list)[i]
}

// Row implements joiner.State.
func (s *State) Row(table int, key []byte) (change.Row, error) {
	return at(&s.tables, table).m[string(key)], nil
}

// Rows implements joiner.State.
func (s *State) Rows(table int, lo, hi []byte, yield func(key []byte, row change.Row) bool) error {
	t := at(&s.tables, table)
	for _, k := range t.between(string(lo), string(hi), hi != nil) {
		if !yield([]byte(k), t.m[k]) {
			return nil
		}
	}
	return nil
}

// entry joins a join key and a row key so that entries of one join key are neighbours.
func entry(join, key []byte) string {
	b := make([]byte, 0, len(join)+len(key)+2)
	for _, c := range join {
		if b = append(b, c); c == 0 {
			b = append(b, 0xff)
		}
	}
	return string(append(append(b, 0, 0), key...))
}

// Index implements joiner.State.
func (s *State) Index(index int, join []byte, yield func(key []byte) bool) error {
	x := at(&s.indexes, index)
	lo := entry(join, nil)
	hi := lo[:len(lo)-1] + "\x01"
	for _, k := range x.between(lo, hi, true) {
		if !yield([]byte(k[len(lo):])) {
			return nil
		}
	}
	return nil
}

// Noted implements joiner.State.
func (s *State) Noted(table int, key []byte) (bool, error) {
	if table >= len(s.notes) {
		return false, nil
	}
	_, ok := s.notes[table][string(key)]
	return ok, nil
}

// SetRow implements joiner.Writer.
func (s *State) SetRow(table int, key []byte, row change.Row) error {
	t := at(&s.tables, table)
	if row == nil {
		t.remove(string(key))
		return nil
	}
	t.set(string(key), row)
	return nil
}

// SetIndex implements joiner.Writer.
func (s *State) SetIndex(index int, join, key []byte, present bool) error {
	x := at(&s.indexes, index)
	if present {
		x.set(entry(join, key), struct{}{})
	} else {
		x.remove(entry(join, key))
	}
	return nil
}

// Note implements joiner.Writer.
func (s *State) Note(table int, key []byte) error {
	for len(s.notes) <= table {
		s.notes = append(s.notes, map[string]struct{}{})
	}
	s.notes[table][string(key)] = struct{}{}
	return nil
}

// ClearNotes implements joiner.Writer.
func (s *State) ClearNotes(table int) error {
	if table < len(s.notes) {
		s.notes[table] = map[string]struct{}{}
	}
	return nil
}

// Len returns the number of rows of a table.
func (s *State) Len(table int) int { return len(at(&s.tables, table).m) }
