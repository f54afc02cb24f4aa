package statestore

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/etlsandbox/cdc/schemas/change"
)

// The names in the meta space; "x/" precedes the caller's own.
const (
	metaMarks    = "marks"
	metaCovering = "covering"
	metaCatalog  = "catalog"
	metaOwn      = "x/"
)

// Marks are the places in the streams that the state belongs to.
type Marks struct {
	// In is the input batch up to which the state holds everything.
	In change.Mark `json:"in"`
	// Out is the record of the output stream that was written for it.
	Out change.Mark `json:"out"`
}

// Covering says that a table stands between the begin and the end of a cover: its rows are not all true.
type Covering struct {
	Cover string `json:"cover"`
	// Unordered: the keys seen are noted, and the rest is swept at the end.
	Unordered bool `json:"unordered,omitempty"`
}

// meta is what the meta space holds, as committed.
type meta struct {
	marks    Marks
	covering map[string]Covering // by TableID.String
	catalog  catalog
	own      map[string][]byte
}

func (s *Store) loadMeta() (err error) {
	m := meta{covering: map[string]Covering{}, own: map[string][]byte{}}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceMeta}, UpperBound: []byte{spaceMeta + 1}})
	if err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		name := string(it.Key()[1:])
		var into any
		switch name {
		case metaMarks:
			into = &m.marks
		case metaCovering:
			into = &m.covering
		case metaCatalog:
			into = &m.catalog
		default:
			if len(name) > len(metaOwn) && name[:len(metaOwn)] == metaOwn {
				m.own[name[len(metaOwn):]] = append([]byte(nil), it.Value()...)
				continue
			}
			return fmt.Errorf("%w: meta entry %q is unknown; run the version that wrote it, or delete %s: the state is rebuilt from the source", ErrFormat, name, s.dir)
		}
		if err := json.Unmarshal(it.Value(), into); err != nil {
			return fmt.Errorf("decode meta entry %q: %w", name, err)
		}
	}
	s.meta = m
	return it.Error()
}

// Marks returns the committed Marks.
func (s *Store) Marks() Marks { return s.meta.marks }

// Covering returns the tables between the begin and the end of a cover, by TableID.String. The caller
// must not modify it.
func (s *Store) Covering() map[string]Covering { return s.meta.covering }

// Value returns what the caller stored under the name with Batch.SetValue; nil when there is nothing.
func (s *Store) Value(name string) []byte { return s.meta.own[name] }
