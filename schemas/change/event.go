package change

import "fmt"

// Op is what happened to a row.
type Op uint8

// The operations; a Read is a row of a cover's chunk ("r" on the wire).
const (
	Insert Op = iota + 1
	Update
	Delete
	Read
)

// String returns the operation's letter on the wire: c, u, d, r.
func (o Op) String() string {
	switch o {
	case Insert:
		return "c"
	case Update:
		return "u"
	case Delete:
		return "d"
	case Read:
		return "r"
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Flags of an event, carried in the header cdc.flags when not zero.
type Flags uint8

// NoForeignKeys says that the session had foreign_key_checks off: no cascade followed this change.
const NoForeignKeys Flags = 1

// KeyMoved marks the delete and the insert that a change of a row's key travels as; the insert follows
// its delete at once. Whoever follows foreign keys must know that the two are one update.
const KeyMoved Flags = 2

// Event is one row change. Before is nil of inserts and reads, After is nil of deletes; rows have the
// length of Table.Columns. Whoever receives an event owns its rows.
type Event struct {
	Table  *Table
	Op     Op
	Before Row
	After  Row
	// Seq and Idx place the event: the unit it belongs to, and its index in the unit, from 0.
	Seq   Seq
	Idx   int
	Flags Flags
	// Origin says where in the source's log the event stands; nil of a view's events.
	Origin *Origin
	// RowNo is the index of the row inside its binlog rows event.
	RowNo int
	// Refused, unless empty, says why a destination must not show the row after the change: it lists it in
	// cdc_quarantine instead. It is set between stream and sink, and never in a stream.
	Refused string
}

// Key returns the key of the row after the change, or before it of a delete.
func (e *Event) Key() (Key, error) {
	if e.Op == Delete {
		return e.Table.RowKey(e.Before)
	}
	return e.Table.RowKey(e.After)
}

// Origin is the place of a change in the source's log; shared by the events of one rows event.
type Origin struct {
	// CommitMicros is the source's time of the transaction in microseconds since the epoch
	// (MariaDB: whole seconds).
	CommitMicros int64
	ServerID     uint32
	GTID         string // of this transaction alone; "" without GTIDs and in a cover
	File         string
	Pos          uint64
	Thread       uint64 // 0 when unknown
	Snapshot     string // Debezium's words: "false", "true", "first", "last", "incremental"
}

// Position is where to resume in the source's log: the set of GTIDs that lie before it, or a file and
// a 64-bit offset, and the identity of the server that they belong to. It is a place, not a number:
// Seq counts units.
type Position struct {
	// Server identifies the source: server_uuid of MySQL; of MariaDB, which has none, what package cdc
	// puts together (cdc.Server.Identity).
	Server string `json:"server,omitempty"`
	GTID   string `json:"gtid,omitempty"`
	File   string `json:"file,omitempty"`
	Offset uint64 `json:"offset,omitempty"`
}

// IsZero reports whether the position names no place.
func (p Position) IsZero() bool { return p == Position{} }

// String prints the position for people.
func (p Position) String() string {
	if p.GTID != "" {
		return p.GTID
	}
	return fmt.Sprintf("%s:%d", p.File, p.Offset)
}
