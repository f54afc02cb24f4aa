package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// ErrPurged says that the source's log no longer reaches back to the position.
var ErrPurged = errors.New("the source's log no longer reaches back to the position")

// ErrTableAhead says that a table was read and is not, or not as, the stream knows it: the log will say why.
var ErrTableAhead = errors.New("the table is ahead of the log")

// StopError is a condition that an operator must mend; trying again cannot.
type StopError struct {
	What string // what happened, with names and values
	Hint string // the way out
	Err  error
}

// Error joins the parts.
func (e *StopError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *StopError) Unwrap() error { return e.Err }

// ErrUnmeant says that the source is another one than the stream came from, or no longer has what the stream
// goes on from. Only an operator can say that it is meant so: an Ask with Back.
var ErrUnmeant = errors.New("the source is not where the stream came from")

// LogKind says what a LogItem is.
type LogKind uint8

// The kinds of items of the source's log.
const (
	TxBegin   LogKind = iota + 1 // a source transaction begins
	TxRow                        // one row change of a captured table
	TxCommit                     // the transaction is complete; Position stands behind it
	DDL                          // a statement that concerns captured tables
	Heartbeat                    // nothing happened up to Position
	Pause                        // rows of a table cannot be read from this transaction on: Change says why
)

// LogItem is one item of the source's log. A transaction is TxBegin, TxRow…, TxCommit; also one without
// captured rows.
type LogItem struct {
	Kind         LogKind
	Event        change.Event // TxRow
	Position     change.Position
	CommitMicros int64 // TxBegin, TxCommit, DDL
	Change       *SchemaChange
}

// SchemaChange is what a DDL statement means.
type SchemaChange struct {
	Statement string
	Changes   []TableChange
}

// TableChange is what a DDL statement means for one captured table.
type TableChange struct {
	Table string // TableID.String
	// New is the table's shape afterwards; nil when it cannot be followed or is gone.
	New *change.Table
	// Created says that the table appeared: it needs a cover that only adds, unless it is Refused.
	Created bool
	// Unlogged says that rows changed without row events: the table must be covered again.
	Unlogged bool
	// Gone says that the table is not there any more. One that a view reads is paused: Refused and Hint.
	Gone bool
	// Refused says why the change cannot be followed; the table is paused. Hint is the way out.
	Refused, Hint string
}

// Source is the effects of capture on the source database.
type Source interface {
	// Open makes the log begin behind the position; shapes are the tables' shapes at that place. The error
	// is ErrPurged when the log no longer reaches back.
	Open(ctx context.Context, from change.Position, shapes []*change.Table) error
	// Next returns what the log holds now, in order; it waits at most so long when there is nothing, and
	// returns early when Wake was called. The items belong to the caller until the next call.
	Next(ctx context.Context, wait time.Duration) ([]LogItem, error)
	// Now is the end of the log: where a stream that lost its place goes on.
	Now(ctx context.Context) (change.Position, error)
	// Tables returns the captured tables with their shapes of now. If some cannot be followed as they are, it
	// returns the others and an *UnfitError.
	Tables(ctx context.Context) ([]*change.Table, error)
}

// UnfitError names captured tables that cannot be followed as they are: Table, Refused and Hint of each.
type UnfitError struct{ Tables []TableChange }

func (e *UnfitError) Error() string {
	all := make([]string, len(e.Tables))
	for i, t := range e.Tables {
		all[i] = t.Refused + "; " + t.Hint
	}
	return strings.Join(all, "\n")
}

// Places compares positions of the source.
type Places interface {
	// Contains reports whether everything before want lies before have.
	Contains(have, want change.Position) (bool, error)
}

// ChunkTask says what to do for a chunk.
type ChunkTask uint8

// The tasks.
const (
	PlanChunk      ChunkTask = iota + 1 // find the end of a chunk's range
	ReadChunk                           // read a range
	ReadAfterChunk                      // read the next rows in the server's order
)

// ChunkRequest asks for one step of a chunk.
type ChunkRequest struct {
	Job        int // returned in the result
	Task       ChunkTask
	Table      *change.Table
	Range      change.KeyRange
	After      change.Key // ReadAfterChunk
	Rows       int        // about so many rows
	Registered change.Position
}

// ChunkResult answers a request.
type ChunkResult struct {
	Job   int
	Range change.KeyRange // PlanChunk
	Rows  []change.Row
	High  change.Position // at or behind everything that the read saw
	Last  change.Key      // ReadAfterChunk: the last key; More says that rows may follow
	More  bool
	Err   error
}

// ChunkReader reads chunks beside the log.
type ChunkReader interface {
	// Submit starts a request; the result comes by Poll. Requests of a stage that has ended are dropped.
	Submit(ctx context.Context, r ChunkRequest)
	// Poll returns a finished request without waiting.
	Poll() (ChunkResult, bool)
	// Ordered returns how many leading key columns can bound a range; 0: the table is the unit of cover.
	Ordered(t *change.Table) int
}

// Ask is a reader's request for a cover.
type Ask struct {
	// Reader that the cover is for; "" for everybody, which only an operator asks.
	Reader string
	// Tables or views that it lacks (TableID.String).
	Tables []string
	// Range restricts an operator's resync to a key range.
	Range change.KeyRange
	// Heal says that what readers hold is not true: they show it again in one step at its end.
	Heal bool
	// Back is an operator's word that the source is meant as it is now, even if it was replaced or set back.
	Back bool
	// Since is the offset of the progress topic up to which the reader has looked for a begin; at first, where
	// the topic ended when it began to ask. A begin from there on answers it.
	Since int64
	// Floor is the highest Seq that the reader holds or has announced.
	Floor change.Seq
	// Done, which an operator's ask has, is called with the id of the cover that answers an operator's ask.
	Done func(cover string, err error)
}

// Asks is where readers put their asks, and where the writer's stage takes them.
type Asks interface {
	// Take returns the asks that have come since the last call.
	Take() []Ask
}

// Asker is the call by which a reader asks the writer's stage: nothing is stored, so a reader asks again
// and again until it sees its begin.
type Asker interface {
	Ask(a Ask)
}

// Clock tells the time; a simulation has its own.
type Clock interface {
	Now() time.Time
}
