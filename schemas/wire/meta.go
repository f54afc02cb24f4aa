package wire

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// MetaVersion is the newest version of the meta records that this build writes and reads.
const MetaVersion = 1

// Keys of the compacted meta topic. The newest record of a key counts; an empty value removes it.
const (
	MetaNewest      = "newest"  // MetaProgress: the newest progress record and its offset
	MetaTablePrefix = "table/"  // + TableID: TableVersion
	MetaCoverPrefix = "cover/"  // + cover id: CoverState, removed after End
	MetaViewPrefix  = "view/"   // + view name: ViewState (view streams only)
	MetaCoverage    = "covered" // Coverage of all tables
)

// MetaProgress is the newest progress record, and the offset it stands at.
type MetaProgress struct {
	V        int      `json:"v"`
	Offset   int64    `json:"offset"`
	Progress Progress `json:"progress"`
}

// TableVersion is a table's newest shape and the Seq from which on it holds, and the shapes before it,
// oldest first: a reader may stand behind.
type TableVersion struct {
	V       int            `json:"v"`
	From    change.Seq     `json:"from"`
	Table   *change.Table  `json:"table"`
	Earlier []EarlierShape `json:"earlier,omitempty"`
}

// EarlierShape is a shape that held from a Seq on until the next one.
type EarlierShape struct {
	From  change.Seq    `json:"from"`
	Table *change.Table `json:"table"`
}

// keptShapes is how many earlier shapes are kept: a reader that stands behind more needs a cover.
const keptShapes = 64

// Next returns the version that follows when the table has another shape from seq on.
func (t *TableVersion) Next(seq change.Seq, shape *change.Table) *TableVersion {
	n := &TableVersion{V: MetaVersion, From: seq, Table: shape}
	if t == nil {
		return n
	}
	n.Earlier = append(append(n.Earlier, t.Earlier...), EarlierShape{t.From, t.Table})
	if len(n.Earlier) > keptShapes {
		n.Earlier = n.Earlier[len(n.Earlier)-keptShapes:]
	}
	return n
}

// At returns the shape that holds at seq; nil if it is not known any more.
func (t *TableVersion) At(seq change.Seq) *change.Table {
	if t == nil {
		return nil
	}
	if seq >= t.From {
		return t.Table
	}
	for i := len(t.Earlier) - 1; i >= 0; i-- {
		if seq >= t.Earlier[i].From {
			return t.Earlier[i].Table
		}
	}
	return nil
}

// CoverState is the chunk ledger of one running cover.
type CoverState struct {
	V     int          `json:"v"`
	Cover change.Cover `json:"cover"`
	// Begun is the Seq of its Begin; of several running covers the newest is served first.
	Begun change.Seq `json:"begun"`
	// Done holds, per table, the key ranges done, in order and merged. A table is done when its single
	// range is the whole table.
	Done map[string][]change.KeyRange `json:"done,omitempty"`
	// Paused says of tables whose chunks wait why, and the way out: their shape cannot be followed.
	Paused map[string]string `json:"paused,omitempty"`
}

// ViewState is a view whose cover has begun: its definition's hash and its shapes.
type ViewState struct {
	V     int          `json:"v"`
	Hash  string       `json:"hash"`
	Shape TableVersion `json:"shape"`
}

// Coverage says from which Seq on each table is complete in the stream; a table that is missing, or
// whose Seq is 0, has a hole and must be covered before anybody trusts it.
type Coverage struct {
	V      int                              `json:"v"`
	Tables map[string]map[string]change.Seq `json:"tables"` // table -> column -> Seq
}

// Meta is the content of a meta topic.
type Meta struct {
	Newest   *MetaProgress
	Tables   map[string]*TableVersion
	Covers   map[string]*CoverState
	Views    map[string]*ViewState
	Coverage *Coverage
}

// NewMeta returns an empty Meta.
func NewMeta() *Meta {
	return &Meta{
		Tables: map[string]*TableVersion{}, Covers: map[string]*CoverState{}, Views: map[string]*ViewState{},
		Coverage: &Coverage{V: MetaVersion, Tables: map[string]map[string]change.Seq{}},
	}
}

// MetaRecord is one record of a meta topic; a nil Value removes the key.
type MetaRecord struct {
	Key   string
	Value []byte
}

// EncodeMeta makes the record of a key. The value is one of the types above; nil removes the key.
func EncodeMeta(key string, value any) (MetaRecord, error) {
	if value == nil {
		return MetaRecord{Key: key}, nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return MetaRecord{}, fmt.Errorf("encode meta record %s: %w", key, err)
	}
	return MetaRecord{Key: key, Value: b}, nil
}

// Apply folds one record into the content. An unknown key is an error: a later version wrote it, and
// what it means cannot be guessed.
func (m *Meta) Apply(r MetaRecord) error {
	removed := len(r.Value) == 0
	decode := func(into any) error {
		return decodeVersioned(r.Value, MetaVersion, "meta record "+r.Key, into)
	}
	switch {
	case r.Key == MetaNewest:
		m.Newest = nil
		if removed {
			return nil
		}
		m.Newest = &MetaProgress{}
		return decode(m.Newest)
	case r.Key == MetaCoverage:
		m.Coverage = &Coverage{V: MetaVersion, Tables: map[string]map[string]change.Seq{}}
		if removed {
			return nil
		}
		return decode(m.Coverage)
	case strings.HasPrefix(r.Key, MetaTablePrefix):
		return applyEntry(m.Tables, strings.TrimPrefix(r.Key, MetaTablePrefix), removed, decode)
	case strings.HasPrefix(r.Key, MetaCoverPrefix):
		return applyEntry(m.Covers, strings.TrimPrefix(r.Key, MetaCoverPrefix), removed, decode)
	case strings.HasPrefix(r.Key, MetaViewPrefix):
		return applyEntry(m.Views, strings.TrimPrefix(r.Key, MetaViewPrefix), removed, decode)
	}
	return fmt.Errorf("meta record %q is not known to this build: run the version of cdc that wrote it, or a later one", r.Key)
}

func applyEntry[T any](into map[string]*T, key string, removed bool, decode func(any) error) error {
	if removed {
		delete(into, key)
		return nil
	}
	v := new(T)
	if err := decode(v); err != nil {
		return err
	}
	into[key] = v
	return nil
}
