package change

import (
	"context"
	"fmt"
	"iter"
)

// Seq numbers the units of a stream: a source transaction, a chunk of a cover, a schema change. It
// grows by one for each, without gaps inside an incarnation, save where a cover that a reader asked
// for is numbered above what that reader holds.
type Seq uint64

// UnitKind says what the units of a progress record, and of a Batch, are.
type UnitKind uint8

// The kinds of units. Begin, Chunk, End and Schema are always alone in their progress record.
const (
	Changes UnitKind = iota + 1 // whole source transactions
	Begin                       // a cover begins
	Chunk                       // the exact content of a key range at this place of the stream
	End                         // a cover ends
	Schema                      // a table's shape changes
	Idle                        // nothing happened; the position moves (no unit: SeqTo < SeqFrom)
)

var unitNames = [...]string{"", "changes", "begin", "chunk", "end", "schema", "idle"}

// String returns the kind's word in a progress record.
func (k UnitKind) String() string {
	if int(k) < len(unitNames) {
		return unitNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText writes the kind's word.
func (k UnitKind) MarshalText() ([]byte, error) {
	if k == 0 || int(k) >= len(unitNames) {
		return nil, fmt.Errorf("unit kind %d has no name", uint8(k))
	}
	return []byte(unitNames[k]), nil
}

// UnmarshalText reads the kind's word; an unknown one is an error (a later format).
func (k *UnitKind) UnmarshalText(b []byte) error {
	for i, n := range unitNames {
		if i > 0 && n == string(b) {
			*k = UnitKind(i)
			return nil
		}
	}
	return fmt.Errorf("unit kind %q is unknown: written by a later version?", b)
}

// Mark is a reader's whole position in a stream: it stands behind the progress record at Offset of
// the progress topic, whose random ID the record must carry. The zero Mark stands nowhere.
type Mark struct {
	Incarnation uint64   `json:"incarnation"`
	Offset      int64    `json:"offset"`
	ID          string   `json:"id"`
	Seq         Seq      `json:"seq"`
	Position    Position `json:"position"`
}

// IsZero reports whether the mark stands nowhere.
func (m Mark) IsZero() bool { return m.ID == "" && m.Incarnation == 0 }

// String prints the mark for people.
func (m Mark) String() string {
	if m.IsZero() {
		return "(none)"
	}
	return fmt.Sprintf("seq %d at offset %d (id %s, incarnation %d)", m.Seq, m.Offset, m.ID, m.Incarnation)
}

// Cover describes the cover that a Begin, Chunk or End belongs to.
type Cover struct {
	ID string `json:"id"`
	// Heal says that what readers hold of the tables is not true any more (or not there yet): they stage
	// what follows and show it in one step at End. Without it, chunks are a live resync: who holds the
	// table applies each chunk as it comes, who has nothing of it stages until End.
	Heal bool `json:"heal,omitempty"`
	// For names the one reader that the cover is meant for ("joiner" or a sink); "" is everybody.
	For string `json:"for,omitempty"`
	// Tables are the tables or views covered (TableID.String), in Begin and End.
	Tables []string `json:"tables,omitempty"`
	// Table and Range: what a Chunk covers. A reader deletes what it holds inside Range and the chunk does not.
	Table string   `json:"table,omitempty"`
	Range KeyRange `json:"range,omitzero"`
	// NoRange marks a chunk without coverage (rows read with a WHERE): nothing is deleted by it.
	NoRange bool `json:"no_range,omitempty"`
	// Unordered marks tables whose key order on the server is not the order of Key bytes: the table is
	// the unit of cover. Chunks delete nothing; readers note the keys seen since Begin, streamed ones
	// too, and delete the rest at End.
	Unordered bool `json:"unordered,omitempty"`
	// Whole are those of Tables that are covered as a whole, in Begin and End: their chunks are Unordered.
	Whole []string `json:"whole,omitempty"`
	// Back is an operator's word that the source may have been set back, and means what it has now: where its
	// log ended then. Of what a reader shows from behind that place the source has nothing any more, so at
	// End it goes back to what the cover brings. Zero: readers never go back.
	Back Position `json:"back,omitzero"`
}

// IsFor reports whether the named reader takes part in the cover.
func (c *Cover) IsFor(reader string) bool { return c.For == "" || c.For == reader }

// Names reports whether the cover's Begin names the table.
func (c *Cover) Names(table string) bool {
	for _, t := range c.Tables {
		if t == table {
			return true
		}
	}
	return false
}

// Batch is whole units From..To of one stream, applied as one. It is never held in memory: Open reads
// its events anew at each call. A state between batches is a state that the source really had.
type Batch struct {
	Stream string
	Kind   UnitKind
	From   Seq
	To     Seq
	// Mark is the reader's Mark once the batch is applied.
	Mark Mark
	// CommitMicros is the source's commit time of the last unit, microseconds since the epoch; 0 unknown.
	CommitMicros int64
	// Cover of Begin, Chunk and End; nil otherwise.
	Cover *Cover
	// Tables are the shapes that a Begin or Schema announces and that a Changes or Chunk carries.
	Tables []*Table
	// Rows is the exact number of events.
	Rows int
	// Open iterates over the events in order of (Seq, Idx). An error ends the iteration. Nil when Rows is 0.
	Open func(ctx context.Context) iter.Seq2[Event, error]
	// Encoded is what the sink that the batch is for made of its events ahead; nil if nothing. Whoever gives the
	// batch other events sets it to nil.
	Encoded any
}

// Events iterates over the batch's events, from the start at each call.
func (b *Batch) Events(ctx context.Context) iter.Seq2[Event, error] {
	if b.Open == nil {
		return func(func(Event, error) bool) {}
	}
	return b.Open(ctx)
}
