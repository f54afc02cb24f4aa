package sinks

import (
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Phase is how a destination stands to one table or view of a stream.
type Phase uint8

// The phases of a table. Every phase but Live is durable: a row of the table's own in cdc_progress.
const (
	// Live: shown, at the stream's Mark.
	Live Phase = iota
	// Waiting: the table does not follow the stream (it is new, or was not delivered for a while); what
	// comes is passed over until a cover of it begins.
	Waiting
	// Staged: a cover runs; chunks and changes go to the staging table, what is shown stays.
	Staged
	// Held: staged and complete, but its end is older than what is shown: it waits until the stream is there.
	Held
	// Noting: shown at the stream's Mark, while a live cover without key order notes the keys it sees; the
	// rest is deleted at its end.
	Noting
	// Open: a heal is shown as it comes; what is shown is no state the source had until its end.
	Open
)

var phaseNames = [...]string{"", "waiting", "staged", "held", "noting", "open"}

// String is the phase's durable name; Live has the empty one.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// ParsePhase is the inverse of String.
func ParsePhase(s string) (Phase, error) {
	if i := slices.Index(phaseNames[:], s); i >= 0 {
		return Phase(i), nil
	}
	return 0, fmt.Errorf("staging phase %q is unknown: written by a later version?", s)
}

// TableState is what a destination remembers of a table that is not Live.
type TableState struct {
	Phase Phase
	// Cover is the id of the cover that the phase belongs to; "" when Waiting.
	Cover string
	// Begun is the Seq of that cover's begin.
	Begun change.Seq
	// Boundary is where what is shown stands; the zero Mark when nothing has been shown. While Noting it
	// moves with the stream's Mark.
	Boundary change.Mark
}

// Route says where rows of a table go.
type Route uint8

// The routes of rows.
const (
	Ignore    Route = iota // nowhere: the table is not delivered, or has nothing yet
	ToTable                // the visible table
	ToStaging              // the staging table
	ToBoth                 // the visible table, and their keys to the staging table
)

// Break turns off one rule, so that a simulation can prove that it catches what the rule is for. Nothing
// but a test sets it.
type Break uint8

// The rules that can be turned off.
const (
	BreakNothing                 Break = iota
	BreakChangesBypassStaging          // transactions between begin and end go to the visible table
	BreakDeletesLast                   // a key that was deleted and inserted in one batch is lost
	BreakNoFencing                     // an older process goes on writing
	BreakLiveChunkOutsideStaging       // a live chunk on a table that another cover has staged is dropped
)

var breakNames = [...]string{"", "changes-bypass-staging", "deletes-last", "no-fencing-sink", "live-chunk-in-staging"}

// String names the rule as the executable model does.
func (b Break) String() string {
	if int(b) < len(breakNames) {
		return breakNames[b]
	}
	return fmt.Sprintf("break(%d)", uint8(b))
}

// Step is what one Batch asks of a destination, in this order, in one transaction: empty the staging of
// Void, route the rows, show Show, sweep Sweep, store States, move the Mark.
type Step struct {
	// Void names tables whose staging is emptied first (and created unless it exists).
	Void []string
	// Skip says that no row of the batch is for this destination.
	Skip bool
	// DeleteRange says that a chunk deletes what its range holds and it does not.
	DeleteRange bool
	// Show names staged tables that become visible by their net difference, after the batch's rows.
	Show []string
	// Sweep names tables whose rows are deleted unless their key was noted since the cover began.
	Sweep []string
	// Done names tables whose cover is complete; what was quarantined before it began is void. It holds
	// Show, Sweep and the tables of a heal that was shown as it came.
	Done []string
	// States are the tables' states afterwards; Live ones are removed.
	States map[string]TableState

	routes map[string]Route
	begun  map[string]change.Seq
}

// Route returns where rows of the table go.
func (s *Step) Route(table string) Route { return s.routes[table] }

// Begun returns the Seq at which the completed cover of a table in Done began.
func (s *Step) Begun(table string) change.Seq { return s.begun[table] }

// Staging decides what a Batch means for each table of one stream at one destination. It has no effects
// and keeps no state: the destination does, in the transaction that moves its Mark.
type Staging struct {
	// Reader is the destination's name: covers for others are passed over.
	Reader string
	// Tables holds the delivered tables (Target.From) and whether their heals are shown progressively.
	Tables map[string]bool
	// Break is for simulations.
	Break Break
}

// Decide returns what the batch asks, given the Mark and the states of tables that are not Live before it.
func (s *Staging) Decide(b *change.Batch, before change.Mark, states map[string]TableState) (Step, error) {
	step := Step{States: maps.Clone(states), routes: map[string]Route{}, begun: map[string]change.Seq{}}
	if step.States == nil {
		step.States = map[string]TableState{}
	}
	switch b.Kind {
	case change.Begin, change.Chunk, change.End:
		if b.Cover == nil {
			return Step{}, fmt.Errorf("decide on %s %d of %s: the record names no cover", b.Kind, b.To, b.Stream)
		}
		if !b.Cover.IsFor(s.Reader) {
			step.Skip = true
			break
		}
		switch b.Kind {
		case change.Begin:
			s.begin(b, before, &step)
		case change.Chunk:
			s.chunk(b, &step)
		default:
			s.end(b, &step)
		}
	case change.Changes:
		for t := range s.Tables {
			step.routes[t] = s.changes(step.States[t])
		}
	case change.Schema, change.Idle:
	default:
		return Step{}, fmt.Errorf("decide on batch %d of %s: %s is unknown", b.To, b.Stream, b.Kind)
	}
	s.release(b, &step)
	for t, st := range step.States {
		if st.Phase == Noting {
			st.Boundary = b.Mark
			step.States[t] = st
		}
	}
	return step, nil
}

// begin voids what was staged before of the tables it names and takes them out of earlier covers.
func (s *Staging) begin(b *change.Batch, before change.Mark, step *Step) {
	c := b.Cover
	for _, t := range c.Tables {
		progressive, delivered := s.Tables[t]
		if !delivered {
			continue
		}
		st, known := step.States[t]
		boundary := st.Boundary
		if !known {
			boundary = before
		}
		whole := c.Unordered || slices.Contains(c.Whole, t)
		next := TableState{Cover: c.ID, Begun: b.To, Boundary: boundary}
		switch {
		case !c.Heal && c.Range != change.WholeTable() && !whole:
			continue // a resync of a part makes nobody complete: its chunks go to wherever the table is kept
		case c.Heal && progressive && !whole:
			next.Phase = Open
		case c.Heal, boundary.IsZero(), st.Phase == Waiting: // one that only adds: who had nothing stages it
			next.Phase = Staged
		case whole && (st.Phase == Live || st.Phase == Noting):
			next.Phase = Noting
		default: // a live resync of what is shown or of what is staged: its chunks tell the rest
			continue
		}
		step.States[t] = next
		if next.Phase != Open {
			step.Void = append(step.Void, t)
		}
	}
}

// chunk goes to wherever the table is kept, whichever cover it belongs to.
func (s *Staging) chunk(b *change.Batch, step *Step) {
	c := b.Cover
	if _, delivered := s.Tables[c.Table]; !delivered {
		return
	}
	step.DeleteRange = !c.NoRange && !c.Unordered
	st := step.States[c.Table]
	route := routes[st.Phase]
	if route == ToStaging && st.Cover != c.ID && s.Break == BreakLiveChunkOutsideStaging {
		route = Ignore
	}
	step.routes[c.Table] = route
}

var routes = [...]Route{Live: ToTable, Waiting: Ignore, Staged: ToStaging, Held: ToStaging, Noting: ToBoth, Open: ToTable}

func (s *Staging) changes(st TableState) Route {
	if s.Break == BreakChangesBypassStaging && routes[st.Phase] == ToStaging && !st.Boundary.IsZero() {
		return ToTable
	}
	return routes[st.Phase]
}

// end completes the tables that are under this very cover, and that it still names; only end compares ids.
func (s *Staging) end(b *change.Batch, step *Step) {
	for _, t := range slices.Sorted(maps.Keys(step.States)) {
		st := step.States[t]
		if _, delivered := s.Tables[t]; !delivered || st.Cover != b.Cover.ID {
			continue
		}
		if !b.Cover.Names(t) { // the source has it no more: the cover went on without it
			step.States[t] = TableState{Phase: Waiting, Boundary: st.Boundary}
			continue
		}
		switch st.Phase {
		case Staged:
			if lost(b.Cover.Back, st.Boundary.Position) { // the source has lost what is shown, and means to
				s.show(t, st, step)
				continue
			}
			st.Phase = Held // release shows it at once unless it is older than what is shown
			step.States[t] = st
		case Noting:
			step.Sweep = append(step.Sweep, t)
			s.done(t, st, step)
		case Open:
			s.done(t, st, step)
		case Live, Waiting, Held:
		}
	}
}

// release shows what is held once the stream has reached what is shown: a boundary never moves back. Only
// positions prove that. An idle record proves nothing: the stream of views has one for every chunk of a raw
// table, at the position of the record before it. Nor does a new incarnation of the stream: a writer begins
// one by itself when its log was torn, and the source still has what is shown.
//
// A source that was set back is two cases. One that answers with another server identity (restored,
// replaced) has positions that cannot be compared with what is shown, so Behind is false and the end is
// shown at once. One with the same identity cannot be told from a torn log: the destination stays where it
// is, Held, and reports that, until the source has passed that place again, or until an operator says that
// the source is meant as it is and the cover which that begins (Cover.Back) ends.
func (s *Staging) release(b *change.Batch, step *Step) {
	for _, t := range slices.Sorted(maps.Keys(step.States)) {
		st := step.States[t]
		if st.Phase != Held || Behind(b.Mark.Position, st.Boundary.Position) {
			continue
		}
		if _, delivered := s.Tables[t]; delivered {
			s.show(t, st, step)
		}
	}
}

// lost reports whether a source whose log ends at a place has lost what is shown. Unlike a reader's place, that of
// a source without any GTID says that it has had no transaction since its log was begun anew.
func lost(end, shown change.Position) bool {
	return Behind(end, shown) || end.Server == shown.Server && end.GTID == "" && shown.GTID != ""
}

func (s *Staging) show(t string, st TableState, step *Step) {
	step.Show = append(step.Show, t)
	s.done(t, st, step)
}

func (s *Staging) done(t string, st TableState, step *Step) {
	step.Done = append(step.Done, t)
	step.begun[t] = st.Begun
	delete(step.States, t)
}

// Freeze makes tables wait that the destination keeps for the stream (owned) and that are not delivered any
// more: they pass over what comes, and when they are delivered again they have missed something.
func (s *Staging) Freeze(owned []string, at change.Mark, states map[string]TableState) {
	for _, t := range owned {
		if _, delivered := s.Tables[t]; delivered || at.IsZero() {
			continue
		}
		st, known := states[t]
		if known && st.Phase == Waiting {
			continue
		}
		if !known {
			st.Boundary = at
		}
		states[t] = TableState{Phase: Waiting, Boundary: st.Boundary}
	}
}

// AlreadyApplied reports whether the destination's Mark has passed the batch. An error says that the
// stream's numbers have moved back: what it holds cannot be told from what comes.
func AlreadyApplied(b *change.Batch, at change.Mark) (bool, error) {
	if at.IsZero() {
		return false, nil
	}
	same := b.Mark.Incarnation == at.Incarnation
	switch {
	case same && b.Mark.Seq <= at.Seq && b.Mark.Offset <= at.Offset:
		return true, nil
	case b.Mark.Seq < at.Seq, b.Mark.Seq == at.Seq && b.Kind != change.Idle:
		return false, &StopError{
			What: fmt.Sprintf("stream %s: %s %d comes after %s, which this destination holds already",
				b.Stream, b.Kind, b.Mark.Seq, at),
			Hint: "the stream was made anew while the clock was set back, or belongs to another source: set the clock right and" +
				" remove the stream's topics, or remove this stream's rows from cdc_progress to have it filled anew",
		}
	}
	return false, nil
}
