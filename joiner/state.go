package joiner

import "github.com/etlsandbox/cdc/schemas/change"

// State is what the engine reads: the stored input rows, and narrow indexes from join keys to row keys.
// Tables and indexes are numbered as Engine.Tables numbers them. The slices passed to yield are valid
// only during the call; rows are immutable and may be kept by both sides.
type State interface {
	// Row returns the row with the given key, of the table's full width, Absent where a column is not
	// kept; nil when there is none.
	Row(table int, key []byte) (change.Row, error)
	// Rows yields the rows with lo <= key < hi, in key order, until yield returns false. A nil hi has no end.
	Rows(table int, lo, hi []byte, yield func(key []byte, row change.Row) bool) error
	// Index yields the keys of the rows that were entered under exactly this join key.
	Index(index int, join []byte, yield func(key []byte) bool) error
	// Noted reports whether the key was noted since the table's notes were last cleared (see Writer.Note).
	Noted(table int, key []byte) (bool, error)
}

// Writer receives what a batch changes in the state. Arguments are valid only during the call.
type Writer interface {
	// SetRow stores the row under the key; a nil row removes it.
	SetRow(table int, key []byte, row change.Row) error
	// SetIndex enters the row key under the join key, or removes that entry.
	SetIndex(index int, join, key []byte, present bool) error
	// Note remembers that the key was seen while the table is under an unordered cover.
	Note(table int, key []byte) error
	// ClearNotes forgets the table's notes.
	ClearNotes(table int) error
}

// Scratch is an ordered store of bytes for what does not fit into memory. It starts empty, is used by
// one batch and its content is worthless afterwards. Slices are valid only during the call.
type Scratch interface {
	Set(key, value []byte) error
	// Get returns the value of a key; ok is false when there is none.
	Get(key []byte) (value []byte, ok bool, err error)
	// Range yields lo <= key < hi in order until yield returns false.
	Range(lo, hi []byte, yield func(key, value []byte) bool) error
	Close() error
}

// Table is what the engine wants the state to keep of a table.
type Table struct {
	Shape *change.Table
	// Columns are the indexes of the columns to keep, ascending; all others may be dropped.
	Columns []int
	// Indexes names the table's indexes. An index's number, as State and Writer use it, is its place when
	// the indexes of all tables are counted through in order. Equal names mean equal content.
	Indexes []string
}
