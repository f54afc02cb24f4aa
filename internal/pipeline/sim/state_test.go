package sim

import (
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
)

// version is one content of the joiner's state; it is never changed once it is stored.
type version struct {
	meta  pipeline.JoinMeta
	rows  map[string]change.Row
	index map[string]bool
	notes map[string]bool
}

func newVersion() *version {
	return &version{rows: map[string]change.Row{}, index: map[string]bool{}, notes: map[string]bool{}}
}

// entry is the stored form of a key of a table or an index: its number, then the key.
func entry(number int, key []byte) string { return string(append([]byte{byte(number)}, key...)) }

// pair is the stored form of an index entry: keys of all indexes here have nine bytes.
func pair(number int, join, key []byte) string {
	return entry(number, join) + "|" + string(key)
}

// Row implements joiner.State.
func (v *version) Row(table int, key []byte) (change.Row, error) {
	return v.rows[entry(table, key)], nil
}

// Rows implements joiner.State.
func (v *version) Rows(table int, lo, hi []byte, yield func(key []byte, row change.Row) bool) error {
	for _, k := range slices.Sorted(maps.Keys(v.rows)) {
		if k[0] != byte(table) || k[1:] < string(lo) || hi != nil && k[1:] >= string(hi) {
			continue
		}
		if !yield([]byte(k[1:]), v.rows[k]) {
			break
		}
	}
	return nil
}

// Index implements joiner.State.
func (v *version) Index(index int, join []byte, yield func(key []byte) bool) error {
	prefix := pair(index, join, nil)
	for _, k := range slices.Sorted(maps.Keys(v.index)) {
		if len(k) > len(prefix) && k[:len(prefix)] == prefix && !yield([]byte(k[len(prefix):])) {
			break
		}
	}
	return nil
}

// Noted implements joiner.State.
func (v *version) Noted(table int, key []byte) (bool, error) { return v.notes[entry(table, key)], nil }

// stateWriter makes the next version of a state, which shares what does not change.
type stateWriter struct {
	v                         *version
	ownRows, ownIndex, ownKey bool
}

func own[M ~map[K]V, K comparable, V any](m *M, owned *bool) M {
	if !*owned {
		*m, *owned = maps.Clone(*m), true
	}
	return *m
}

// SetRow implements joiner.Writer.
func (w *stateWriter) SetRow(table int, key []byte, row change.Row) error {
	m := own(&w.v.rows, &w.ownRows)
	if row == nil {
		delete(m, entry(table, key))
	} else {
		m[entry(table, key)] = row
	}
	return nil
}

// SetIndex implements joiner.Writer.
func (w *stateWriter) SetIndex(index int, join, key []byte, present bool) error {
	m := own(&w.v.index, &w.ownIndex)
	if present {
		m[pair(index, join, key)] = true
	} else {
		delete(m, pair(index, join, key))
	}
	return nil
}

// Note implements joiner.Writer.
func (w *stateWriter) Note(table int, key []byte) error {
	own(&w.v.notes, &w.ownKey)[entry(table, key)] = true
	return nil
}

// ClearNotes implements joiner.Writer.
func (w *stateWriter) ClearNotes(table int) error {
	maps.DeleteFunc(own(&w.v.notes, &w.ownKey), func(k string, _ bool) bool { return k[0] == byte(table) })
	return nil
}

// store is a joiner's data folder: a crash keeps a prefix of what was not synced.
type store struct {
	disk *version
	tail []*version
}

func newStore() *store { return &store{disk: newVersion()} }

func (s *store) now() *version {
	if n := len(s.tail); n > 0 {
		return s.tail[n-1]
	}
	return s.disk
}

func (s *store) sync() { s.disk, s.tail = s.now(), nil }

func (s *store) crash(choose func(n int) int) {
	if n := choose(len(s.tail) + 1); n > 0 {
		s.disk = s.tail[n-1]
	}
	s.tail = nil
}

func (s *store) lose() { s.disk, s.tail = newVersion(), nil }

// joinState is a process's access to a store; it implements pipeline.JoinState.
type joinState struct {
	w *world
	s *store
}

// Read implements pipeline.JoinState.
func (j *joinState) Read() (joiner.State, func() error, error) {
	return j.s.now(), func() error { return nil }, nil
}

// Meta implements pipeline.JoinState.
func (j *joinState) Meta() pipeline.JoinMeta { return j.s.now().meta }

// Write implements pipeline.JoinState.
func (j *joinState) Write(m pipeline.JoinMeta, flush func(joiner.Writer) error) error {
	if err := j.w.effect(); err != nil {
		return err
	}
	v := *j.s.now()
	if err := flush(&stateWriter{v: &v}); err != nil {
		return err
	}
	v.meta = m
	v.meta.Covering = maps.Clone(m.Covering)
	j.s.tail = append(j.s.tail, &v)
	return j.w.point()
}

// Reset implements pipeline.JoinState.
func (j *joinState) Reset([]joiner.Table) error {
	if err := j.w.effect(); err != nil {
		return err
	}
	j.s.lose()
	return j.w.point()
}
