package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// CaptureConfig sets a capture stage up.
type CaptureConfig struct {
	// Stream is the raw stream's name.
	Stream string
	// Server is the identity of the source (change.Position.Server): a stream goes on only at its own.
	Server string
	// BatchRows and BatchDelay end a batch: whole transactions up to about so many rows, or so long.
	BatchRows  int
	BatchDelay time.Duration
	// IdleEvery is how often progress is written when nothing happens, MoveEvery when the log moves but holds
	// nothing that is captured.
	IdleEvery, MoveEvery time.Duration
	// ChunkRows is the size of a chunk, Threads how many are read at once, KeepLimit the number of changes in
	// a chunk's window above which it is read again, smaller.
	ChunkRows, Threads, KeepLimit int
	// StopOnGap stops instead of healing when the log no longer reaches back.
	StopOnGap bool
	// StopOnUnsupported stops instead of pausing a table that cannot be followed.
	StopOnUnsupported bool
	// Captures tells whether the filter lets a column through; nil: all that the source gives.
	Captures func(t change.TableID, column string) bool
	// Pace returns the least time between two commits (0: none); it widens as the broker fills.
	Pace func() time.Duration
	// HoldCovers reports that covers have to wait for a reader.
	HoldCovers func() bool
	// Fail is called at named places of the protocol; an error ends the stage as a crash would.
	Fail func(point string) error
	// Observe is told what was committed, Paused when a table is put aside and why, Gap when the stream cannot
	// go on where it stood and all tables are healed.
	Observe func(Committed)
	Paused  func(table, why string)
	// Resumed is told where the stream stands once the log could be opened there.
	Resumed func(at change.Mark)
	// Added prepares the stream for a table that the source has got since the start (its topic must exist),
	// before anything of it is written.
	Added func(ctx context.Context, t *change.Table) error
	Gap   func(why string)
	// Altered is told of each table that a statement changes; Covered since which unit each table is complete.
	Altered func(table string)
	Covered func(since map[string]change.Seq)
	// Reads reports whether a view reads the table (nil: it may be). A table that is gone and that none reads leaves:
	// Left is told.
	Reads func(t change.TableID) bool
	Left  func(t change.TableID)
	// Meant, unless nil, is an operator's ask that came while the stage was stopped: the source is meant as it
	// is. The first start heals all tables from where the source's log ends, and answers it.
	Meant *Ask
	// NewID makes the ids of covers. Default: stream.RandomID.
	NewID func() string
	// Rules is zero outside of simulations.
	Rules Rules
}

// Committed describes a batch of a stream that was committed.
type Committed struct {
	Stream string
	Kind   change.UnitKind
	Units  int
	Rows   int
	// ByTable counts events by table and operation.
	ByTable map[TableOp]int
	Mark    change.Mark
	Took    time.Duration
	// CommitMicros is the source's time of the last unit.
	CommitMicros int64
	// Cover of Begin, Chunk and End.
	Cover *change.Cover
}

// TableOp is a table and an operation.
type TableOp struct {
	Table string
	Op    change.Op
}

// Capture is the stage that turns the source's log into the raw stream. Run may be called again after it
// returned an error that trying again can mend.
type Capture struct {
	cfg    CaptureConfig
	src    Source
	places Places
	chunks ChunkReader
	asks   Asks
	clock  Clock
	w      *stream.Writer
	rows   *rowWriter

	tables  map[string]*change.Table
	paused  map[string]string // table -> reason
	unfit   []TableChange     // why captured tables cannot be followed as they were when the source was asked last
	ledger  *ledger
	meant   *Ask // CaptureConfig.Meant until it is answered
	waiting []Ask
	begins  []begun
	jobs    []*chunkJob
	nextJob int
	rowsPer map[string]int // chunk size by table, smaller after a window overflowed

	pos       change.Position // behind the last unit taken from the log
	purged    error           // why the log could not be read from there when it was tried last
	inUnit    bool
	held      bool // covers wait for a reader, who does not say when he has caught up
	reopened  bool
	unit      unitState
	lastWrite time.Time
}

// unitState is the open batch.
type unitState struct {
	open         bool // a Kafka transaction is open
	from, to     change.Seq
	rows         int
	idx          int
	commitMicros int64
	since        time.Time
	byTable      map[TableOp]int
	positionOnly bool // the position moved without a unit
}

// NewCapture puts a stage together.
func NewCapture(cfg CaptureConfig, src Source, places Places, chunks ChunkReader, asks Asks, clock Clock, w *stream.Writer, enc *wire.Encoder) *Capture {
	if cfg.Pace == nil {
		cfg.Pace = func() time.Duration { return 0 }
	}
	if cfg.HoldCovers == nil {
		cfg.HoldCovers = func() bool { return false }
	}
	if cfg.Fail == nil {
		cfg.Fail = func(string) error { return nil }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Committed) {}
	}
	if cfg.Paused == nil {
		cfg.Paused = func(string, string) {}
	}
	if cfg.Resumed == nil {
		cfg.Resumed = func(change.Mark) {}
	}
	if cfg.Added == nil {
		cfg.Added = func(context.Context, *change.Table) error { return nil }
	}
	if cfg.Reads == nil {
		cfg.Reads = func(change.TableID) bool { return true }
	}
	if cfg.Left == nil {
		cfg.Left = func(change.TableID) {}
	}
	if cfg.Altered == nil {
		cfg.Altered = func(string) {}
	}
	if cfg.Covered == nil {
		cfg.Covered = func(map[string]change.Seq) {}
	}
	if cfg.Gap == nil {
		cfg.Gap = func(string) {}
	}
	if cfg.NewID == nil {
		cfg.NewID = stream.RandomID
	}
	return &Capture{cfg: cfg, meant: cfg.Meant, src: src, places: places, chunks: chunks, asks: asks, clock: clock, w: w,
		rows: newRowWriter(w, enc, cfg.Stream), rowsPer: map[string]int{}}
}

// Run starts the writer, resumes where the stream stands (or heals what it cannot resume), and then moves
// the log into the stream until the context ends or something fails.
func (c *Capture) Run(ctx context.Context) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	c.cfg.Resumed(c.w.State().Mark)
	c.tellCoverage()
	for {
		if err := c.step(ctx); err != nil {
			return err
		}
	}
}

// start is "InitProducerID first, then the newest progress record", and what follows from it.
func (c *Capture) start(ctx context.Context) error {
	st, err := c.w.Start(ctx)
	if err != nil {
		return err
	}
	before := c.paused
	c.tables, c.paused = map[string]*change.Table{}, map[string]string{}
	c.waiting, c.begins, c.jobs = nil, nil, nil
	c.inUnit, c.unit = false, unitState{}
	c.ledger = newLedger(st.Meta.Covers)
	for _, cover := range c.ledger.covers {
		for t, why := range cover.Paused {
			if cover.Cover.Names(t) {
				c.paused[t] = why
				c.cfg.Paused(t, why)
			}
		}
	}
	c.pos, c.lastWrite = st.Position(), c.clock.Now()
	now, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	defer c.forgetPaused(before)
	if c.meant != nil {
		return c.gap(ctx, now, "the source is meant as it is now")
	}
	if st.Fresh {
		return c.gap(ctx, now, st.Why)
	}
	if have := st.Position().Server; have != c.cfg.Server {
		return &StopError{
			What: fmt.Sprintf("stream %s belongs to source server %q, this one is %q", c.cfg.Stream, have, c.cfg.Server),
			Hint: "point source.host at the right server; if the change is meant, run cdc resync --all",
			Err:  ErrUnmeant,
		}
	}
	added := c.adopt(st.Meta, now)
	// A server may say only when it is read that its log no longer reaches back.
	err, c.purged = c.purged, nil
	if err == nil {
		err = c.src.Open(ctx, c.pos, c.shapes())
	}
	switch {
	case errors.Is(err, ErrPurged) && !c.cfg.StopOnGap:
		return c.gap(ctx, now, err.Error())
	case errors.Is(err, ErrPurged):
		return &StopError{What: "the stream cannot go on without a gap", Err: errors.Join(ErrUnmeant, err), Hint: "set source.on_gap: resync, or run cdc resync --all"}
	case err != nil:
		return err
	}
	if other := append(c.refilter(now), c.mended(now)...); len(other) > 0 {
		// Columns that the filter has lost must not leave any more, and of those that it has gained nothing has
		// left yet: the tables begin anew.
		if err := c.begin(ctx, change.Cover{Heal: true, Tables: names(other)}, other, 0, c.pos); err != nil {
			return err
		}
		if err := c.src.Open(ctx, c.pos, c.shapes()); err != nil {
			return err
		}
	}
	if err := c.missing(ctx, now); err != nil || len(added) == 0 {
		return err
	}
	// Tables that the filter has gained: a cover that only adds, it stops nobody.
	return c.begin(ctx, change.Cover{Tables: names(added)}, added, 0, c.pos)
}

// adopt takes the shapes that the stream knows of the tables captured now, and returns the tables that it
// does not cover yet. What left the filter is forgotten.
func (c *Capture) adopt(m *wire.Meta, now []*change.Table) (added []*change.Table) {
	for _, t := range now {
		name := t.ID.String()
		v := m.Tables[name]
		if v == nil || !c.covered(m, name) && !c.ledger.under(name, "") {
			c.tables[name] = t
			added = append(added, t)
			continue
		}
		c.tables[name] = v.Table
	}
	return added
}

func (c *Capture) covered(m *wire.Meta, table string) bool {
	return m.Coverage != nil && len(m.Coverage.Tables[table]) > 0
}

func (c *Capture) shapes() []*change.Table {
	ts := make([]*change.Table, 0, len(c.tables))
	for _, t := range c.tables {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *change.Table) int { return a.ID.Compare(b.ID) })
	return ts
}

func names(ts []*change.Table) []string {
	ns := make([]string, len(ts))
	for i, t := range ts {
		ns[i] = t.ID.String()
	}
	slices.Sort(ns)
	return ns
}

// gap goes on at the log's end and heals all tables; its begin is the first record after the gap, so
// neither a later transaction nor a crash can come between.
func (c *Capture) gap(ctx context.Context, now []*change.Table, why string) error {
	pos, err := c.src.Now(ctx)
	if err != nil {
		return err
	}
	if !c.w.State().Empty() { // a first start has nothing to go on from
		c.cfg.Gap(why)
	}
	c.tables, c.paused = map[string]*change.Table{}, map[string]string{}
	for _, t := range now {
		c.tables[t.ID.String()] = t
	}
	cover := change.Cover{ID: c.cfg.NewID(), Heal: true, Tables: names(now)}
	if c.meant != nil {
		cover.Back = pos
	}
	if err := c.begin(ctx, cover, now, 0, pos); err != nil {
		return fmt.Errorf("heal after a gap (%s): %w", why, err)
	}
	if c.meant != nil {
		c.meant.Done(cover.ID, nil)
		c.meant = nil
	}
	if err := c.missing(ctx, now); err != nil {
		return err
	}
	return c.src.Open(ctx, pos, c.shapes())
}

// heldPoll is how often it is looked whether covers may go on.
const heldPoll = 100 * time.Millisecond

// step does what is to be done next: covers between units, then the log.
func (c *Capture) step(ctx context.Context) error {
	c.take()
	wait := c.cfg.IdleEvery
	if !c.inUnit {
		busy, err := c.serveCovers(ctx)
		if err != nil {
			return err
		}
		if busy {
			wait = 0
		}
	}
	if !c.inUnit {
		wait = min(wait, c.untilDue())
	}
	if c.held {
		wait = min(wait, heldPoll)
	}
	items, err := c.src.Next(ctx, wait)
	if errors.Is(err, ErrPurged) {
		c.purged = err // the next start heals it
	}
	if err != nil {
		return err
	}
	c.reopened = false
	for i := range items {
		if err := c.item(ctx, &items[i]); err != nil {
			return err
		}
		if c.reopened {
			return nil // the rest comes again
		}
	}
	return c.commitIfDue(ctx, len(items) == 0)
}

// reopen reads the log again from where the stream stands, with the shapes of now.
func (c *Capture) reopen(ctx context.Context) error {
	c.reopened = true
	return c.src.Open(ctx, c.pos, c.shapes())
}

// take collects asks; a new ask of a reader replaces its older one.
func (c *Capture) take() {
	c.waiting = mergeAsks(c.waiting, c.asks.Take())
}

func (c *Capture) item(ctx context.Context, it *LogItem) error {
	switch it.Kind {
	case TxBegin:
		c.openUnit(it.CommitMicros)
		return nil
	case TxRow:
		return c.row(ctx, &it.Event)
	case TxCommit:
		c.inUnit, c.pos = false, it.Position
		if c.unit.rows >= c.cfg.BatchRows {
			return c.commit(ctx)
		}
		return nil
	case DDL:
		return c.ddl(ctx, it)
	case Pause:
		return c.pause(ctx, it.Change.Changes[0])
	case Heartbeat:
		if it.Position != c.pos {
			c.pos, c.unit.positionOnly = it.Position, true
		}
		return nil
	}
	return fmt.Errorf("read the source's log: item of kind %d is unknown", it.Kind)
}

func (c *Capture) openUnit(commitMicros int64) {
	u := &c.unit
	if u.from == 0 {
		u.from = c.w.State().Seq() + 1
		u.to = u.from - 1
		u.since = c.clock.Now()
	}
	u.to++
	u.idx = 0
	u.commitMicros = commitMicros
	c.inUnit = true
}

// row appends one change; memory does not grow with the transaction, the bytes wait in the broker.
func (c *Capture) row(ctx context.Context, ev *change.Event) error {
	name := ev.Table.ID.String()
	if c.paused[name] != "" || c.tables[name] == nil {
		return nil
	}
	u := &c.unit
	if !u.open {
		if err := c.w.Begin(ctx); err != nil {
			return err
		}
		u.open, u.byTable = true, map[TableOp]int{}
	}
	ev.Seq, ev.Idx = u.to, u.idx
	next, err := c.rows.write(ctx, ev, c.clock.Now().UnixMicro())
	if err != nil {
		return err
	}
	u.idx = next
	u.rows++
	u.byTable[TableOp{name, ev.Op}]++
	for _, j := range c.jobs {
		if j.window != nil && j.table.ID == ev.Table.ID {
			if err := c.note(j, ev); err != nil {
				return err
			}
		}
	}
	return c.cfg.Fail("capture-row-appended")
}
