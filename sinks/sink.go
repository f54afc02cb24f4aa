// Package sinks is the contract of a destination, and what all destinations share: staging decisions,
// error classes, batch folding. One folder per destination holds its implementation; sinktest is the
// one meaning of a sink.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Sink is one destination of one or more streams. A Sink is used by one goroutine at a time.
type Sink interface {
	// Prepare takes the right to write (a later Prepare elsewhere wins, and this one is fenced at its next
	// Apply), creates the bookkeeping tables and, for each target, its table unless it exists. A table that
	// exists, is not empty and was not made by this stream is refused unless the target says Adopt.
	Prepare(ctx context.Context, stream string, targets []Target) error
	// Applied returns the Mark up to which everything is applied or staged; the zero Mark of a destination
	// that has nothing.
	Applied(ctx context.Context, stream string) (change.Mark, error)
	// Apply applies one Batch in one destination transaction that also moves the Mark. Transactions, chunks,
	// begin and end come one after the other; parts of a heal go to a persistent staging table and become
	// visible in one transaction at end. A Batch that the destination's Mark has already passed changes
	// nothing. ClassOf of an error says what to do; after any error the destination is as before or as
	// after, and Applied tells which.
	Apply(ctx context.Context, b *change.Batch) error
	// Close releases connections; it does not wait for anything.
	Close() error
}

// Boundaries is implemented by sinks that can tell what they show of each table: state per table or view
// (Target.From) that does not stand at the stream's Mark. A table that is missing from the map follows the
// stream. One in phase Waiting needs a cover that has not begun: its reader asks for it.
type Boundaries interface {
	Boundaries(ctx context.Context, stream string) (map[string]TableState, error)
}

// OnPoison says what becomes of the version that the destination had of a row that it now refuses.
type OnPoison uint8

// The ways to treat a poison row; in each it is listed in cdc_quarantine and the rest of the batch applied,
// but for StopOnPoison.
const (
	KeepOnPoison   OnPoison = iota // what the destination had stays
	DeleteOnPoison                 // it goes
	StopOnPoison                   // the sink stops
)

// Observer is told what a sink did, after the transaction that did it is committed, but for Poison. Nil
// functions are not called.
type Observer struct {
	// Applied: n events of the operation were applied (or staged) to the table. Events of delivered tables
	// are either applied or quarantined; of a poison key's several events in a batch one counts as quarantined.
	Applied func(table string, op change.Op, n int)
	// Quarantined: n keys of the table were written to cdc_quarantine. A row that is found out only when
	// what was staged is shown was counted as applied before.
	Quarantined func(table string, n int)
	// Poison: the rows are about to be listed in cdc_quarantine, in a transaction that is not committed yet. It
	// may be told of them again. An error fails the batch, and nothing is listed.
	Poison func(ctx context.Context, rows []Poisoned) error
	// Statement: a statement was sent to the destination.
	Statement func()
}

// Counts collects what an Observer is told of a batch.
type Counts struct {
	applied     map[eventKind]int
	quarantined map[string]int
}

type eventKind struct {
	table string
	op    change.Op
}

// Event counts an event that goes to its table.
func (c *Counts) Event(table string, op change.Op) {
	if c.applied == nil {
		c.applied = map[eventKind]int{}
	}
	c.applied[eventKind{table, op}]++
}

// Quarantined counts a key that was refused, and takes it from the events.
func (c *Counts) Quarantined(table string) {
	if c.quarantined == nil {
		c.quarantined = map[string]int{}
	}
	c.quarantined[table]++
	for _, op := range [...]change.Op{change.Update, change.Insert, change.Read, change.Delete} {
		if k := (eventKind{table, op}); c.applied[k] > 0 {
			c.applied[k]--
			return
		}
	}
}

// Tell calls the observer.
func (c *Counts) Tell(o Observer) {
	for k, n := range c.applied {
		if o.Applied != nil && n > 0 {
			o.Applied(k.table, k.op, n)
		}
	}
	for t, n := range c.quarantined {
		if o.Quarantined != nil {
			o.Quarantined(t, n)
		}
	}
}

// Target is one table or view to deliver, and where to.
type Target struct {
	// From is the source's table or view (TableID.String); Table its shape.
	From  string
	Table *change.Table
	// To is the destination table's name, Schema its schema ("" the sink's default).
	To     string
	Schema string
	// Soft deletes set a column instead of removing rows: SoftColumn, or IsDeleted when that is empty.
	Soft       bool
	SoftColumn string
	// Extra are columns that the sink fills beside those of the shape.
	Extra Extra
	// Adopt reconciles a table that is not empty and not ours instead of refusing it.
	Adopt bool
	// Progressive shows a heal's chunks as they come instead of in one step at its end.
	Progressive bool
	// Identity is a surrogate column that the destination numbers and nothing here writes; "" none.
	Identity string
	// Changes says what becomes of a table that lacks something of the shape.
	Changes SchemaChanges
}

// Extra names columns that say where a row comes from; "" leaves one out. They take no part in what is compared: a
// row is written when its content changes, and then they change with it. In rows from before they were added they
// are NULL.
type Extra struct {
	// Position holds the Seq of the unit that made the row what it is: a transaction, a chunk of a cover, or, for
	// what becomes visible in one step, the unit that shows it. Whoever has read up to a Seq finds what came since
	// behind it.
	Position string
	// AppliedAt holds the destination's own time, in UTC, of writing the row.
	AppliedAt string
}

// Names are the columns of Extra that there are.
func (e Extra) Names() []string {
	return slices.DeleteFunc([]string{e.Position, e.AppliedAt}, func(name string) bool { return name == "" })
}

// MarkColumn is the column that soft deletes set.
func (t Target) MarkColumn() string {
	if t.SoftColumn != "" {
		return t.SoftColumn
	}
	return "IsDeleted"
}

// CheckColumns refuses a shape with a column that the target needs for soft deletes or as an extra one.
func (t Target) CheckColumns(shape *change.Table) error {
	for _, c := range shape.Columns {
		switch {
		case t.Soft && strings.EqualFold(c.Name, t.MarkColumn()):
			return &StopError{
				What: fmt.Sprintf("%s has a column %s of its own, which soft deletes need", shape.ID, c.Name),
				Hint: "deliver it with delete: hard, or rename the column in a view",
			}
		case slices.ContainsFunc(t.Extra.Names(), func(name string) bool { return strings.EqualFold(c.Name, name) }):
			return &StopError{
				What: fmt.Sprintf("%s has a column %s of its own, which extra_columns adds", shape.ID, c.Name),
				Hint: "leave it out of extra_columns, or rename the column in a view",
			}
		}
	}
	return nil
}

// SchemaChanges says what a sink does to the shape of delivered tables.
type SchemaChanges uint8

// The ways to treat a table whose shape is not the one that is delivered.
const (
	// Expand makes tables, adds and widens columns; what would lose data is refused.
	Expand SchemaChanges = iota
	// Strict changes nothing: whatever is missing or too narrow is refused with the statements to run.
	Strict
	// Off changes nothing and compares no types: only a missing table or column is refused; a value that
	// does not fit is poison.
	Off
)

// Unchanged is the refusal to change a table under Strict or Off; ddl are the statements that would.
func (t Target) Unchanged(ddl ...string) error {
	return &StopError{
		What: fmt.Sprintf("table %s is not in the shape of %s, and schema_changes does not let the sink change it", t.To, t.From),
		Hint: "cdc migrate apply does, or run: " + strings.Join(ddl, "; "),
	}
}

// ErrFenced says that another process has taken the right to write: this one must stop at once.
var ErrFenced = errors.New("another process writes to this destination now")

// ErrStop marks an error that trying again cannot mend.
var ErrStop = errors.New("the sink stops")

// StopError is an error that an operator must mend; errors.Is(err, ErrStop) holds.
type StopError struct {
	// What went wrong, with the names and values involved, and the way out.
	What, Hint string
	// Access says that the destination refused the credentials.
	Access bool
	Err    error
}

// Error joins what happened, the cause and the way out.
func (e *StopError) Error() string {
	s := e.What
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives the cause and ErrStop.
func (e *StopError) Unwrap() []error { return []error{ErrStop, e.Err} }
