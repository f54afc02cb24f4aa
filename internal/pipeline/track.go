package pipeline

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Tracker knows how the daemon is doing: what each stage last did, and the metrics that say so. It is safe
// for concurrent use.
type Tracker struct {
	Metrics *telemetry.Metrics

	mu      sync.Mutex // guards what follows
	streams map[string]StreamProgress
	sinks   map[string][]SinkProgress // one for each stream delivered; the first stands for the sink
	covers  []CoverProgress
	dead    map[string]int    // rows quarantined, by sink
	paused  map[string]string // table -> why
	joined  change.Seq        // the unit of the raw stream that the joiner stands at; 0: not known
	rawAt   change.Seq        // and the newest one
	read    readPlace         // how far the source's log is read
	covered map[string]change.Seq
	sizes   map[string]uint64 // table -> rows, as the source believes
	changed chan struct{}
}

// StreamProgress is where a stream stands.
type StreamProgress struct {
	Mark         change.Mark
	CommitMicros int64
}

// SinkProgress is where a destination stands in one of the streams that it gets.
type SinkProgress struct {
	Stream       string
	Mark         change.Mark
	CommitMicros int64
	// At is when what it has applied last was new: the commit of the last transaction, or now when it had all.
	At time.Time
	// Lag is the age of the last transaction applied, when it was applied.
	Lag time.Duration
	// Staging are the covers that the destination stages; it does not show what its Mark says.
	Staging []string
	// Aside are the tables or views that the destination refuses, and why; it gets the others.
	Aside map[string]error
	// Stopped is why the destination gets nothing of this stream until an operator resumes it; nil while it does.
	Stopped error
}

// CoverProgress is a cover that runs, or has ended lately.
type CoverProgress struct {
	Cover          change.Cover
	Stream         string
	Chunks, Rows   int
	Started, Ended time.Time
	// Voided: it ended because other covers have taken its tables over, or because they left it; nothing is complete by it.
	Voided bool
}

// keptCovers is how many ended covers are remembered.
const keptCovers = 50

// NewTracker returns a Tracker that counts into the metrics.
func NewTracker(m *telemetry.Metrics) *Tracker {
	return &Tracker{Metrics: m, streams: map[string]StreamProgress{}, sinks: map[string][]SinkProgress{}, dead: map[string]int{}, paused: map[string]string{}, covered: map[string]change.Seq{}, sizes: map[string]uint64{}, changed: make(chan struct{})}
}

// Changed is closed at the next change of anything.
func (t *Tracker) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *Tracker) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Committed counts a batch of a stream. raw says that the stream is the source's.
func (t *Tracker) Committed(c Committed, raw bool) {
	m := t.Metrics
	m.Stream.Seq.WithLabelValues(c.Stream).Set(float64(c.Mark.Seq))
	m.Stream.Batches.WithLabelValues(c.Stream).Inc()
	m.Stream.Rows.WithLabelValues(c.Stream).Add(float64(c.Rows))
	m.Stream.CommitSeconds.WithLabelValues(c.Stream).Observe(c.Took.Seconds())
	if c.Rows > 0 {
		m.Stream.BatchRows.WithLabelValues(c.Stream).Observe(float64(c.Rows))
	}
	for k, n := range c.ByTable {
		switch {
		case !raw:
			m.Join.OutputRows.WithLabelValues(k.Table, k.Op.String()).Add(float64(n))
		case k.Op == change.Read:
			m.Snapshot.Rows.WithLabelValues(k.Table).Add(float64(n))
			fallthrough
		default:
			m.Source.Rows.WithLabelValues(k.Table, k.Op.String()).Add(float64(n))
		}
	}
	if raw && c.Kind == change.Changes {
		m.Source.Transactions.Add(float64(c.Units))
	}
	if !raw && c.Kind == change.Changes && c.CommitMicros > 0 {
		m.Join.Lag.Set(max(0, time.Since(time.UnixMicro(c.CommitMicros)).Seconds()))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if raw {
		t.rawAt = c.Mark.Seq
		t.read.note(c, time.Now())
		m.Source.Lag.Set(t.read.lag.Seconds())
		t.joinLag()
	}
	s := t.streams[c.Stream]
	s.Mark = c.Mark
	if c.CommitMicros > 0 {
		s.CommitMicros = c.CommitMicros
	}
	t.streams[c.Stream] = s
	for sink := range t.sinks {
		t.sinkLag(sink)
	}
	t.cover(c, raw)
	t.signal()
}

func (t *Tracker) cover(c Committed, raw bool) {
	if c.Cover == nil {
		return
	}
	i := slices.IndexFunc(t.covers, func(p CoverProgress) bool { return p.Cover.ID == c.Cover.ID })
	if i < 0 {
		t.covers = append(t.covers, CoverProgress{Cover: *c.Cover, Stream: c.Stream, Started: time.Now()})
		i = len(t.covers) - 1
	}
	p := &t.covers[i]
	switch c.Kind {
	case change.Begin:
		p.Cover = *c.Cover
		t.voided(c)
	case change.Chunk:
		p.Chunks++
		p.Rows += c.Rows
		if !slices.Contains(p.Cover.Tables, c.Cover.Table) { // it began before this process did
			p.Cover.Tables = append(p.Cover.Tables, c.Cover.Table)
		}
	case change.End:
		p.Ended = time.Now()
		for _, name := range c.Cover.Tables {
			delete(t.paused, name)
		}
		// What the cover ends with, not what it began with: a table that was paused meanwhile left it.
		if p.Voided = len(c.Cover.Tables) == 0; !p.Voided {
			p.Cover.Tables = c.Cover.Tables
		}
	case change.Changes, change.Schema, change.Idle:
	}
	if raw {
		for _, name := range p.Cover.Tables {
			running := 0.0
			if p.Ended.IsZero() {
				running = 1
			}
			t.Metrics.Snapshot.Running.WithLabelValues(name).Set(running)
		}
	}
	ended := 0
	for _, o := range t.covers {
		if !o.Ended.IsZero() {
			ended++
		}
	}
	if ended > keptCovers {
		j := slices.IndexFunc(t.covers, func(o CoverProgress) bool { return !o.Ended.IsZero() })
		t.covers = slices.Delete(t.covers, j, j+1)
	}
}

// voided takes the tables of a heal out of the covers before it, as its writer and readers do.
func (t *Tracker) voided(c Committed) {
	if !c.Cover.Heal {
		return
	}
	for i := range t.covers {
		o := &t.covers[i]
		if o.Stream != c.Stream || o.Cover.ID == c.Cover.ID || !o.Ended.IsZero() {
			continue
		}
		if c.Cover.For != "" { // a reader's new cover is instead of its older ones
			if o.Cover.For == c.Cover.For {
				o.Voided, o.Ended = true, time.Now()
			}
			continue
		}
		left := slices.DeleteFunc(slices.Clone(o.Cover.Tables), func(name string) bool { return slices.Contains(c.Cover.Tables, name) })
		if len(left) == 0 { // it keeps its names, to be told by
			o.Voided, o.Ended = true, time.Now()
			continue
		}
		o.Cover.Tables = left
	}
}

// Read counts what was read of the source's log: bytes, and rows that were passed over.
func (t *Tracker) Read(bytes uint64, filtered map[string]uint64) {
	m := t.Metrics.Source
	m.Bytes.Add(float64(bytes))
	for name, n := range filtered {
		m.FilteredRows.WithLabelValues(name).Add(float64(n))
		m.Rows.WithLabelValues(name, "filtered").Add(float64(n))
	}
}

// Paused notes that a table is put aside, and why.
func (t *Tracker) Paused(table, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused[table] = why
	t.signal()
}

// Joined notes where the joiner stands in the raw stream, and how long its last batch took.
func (t *Tracker) Joined(in change.Mark, took time.Duration) {
	t.Metrics.Join.BatchSeconds.Observe(took.Seconds())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joined = in.Seq
	t.joinLag()
	t.signal()
}

// joinLag says how many units the joiner has before it; the caller holds mu.
func (t *Tracker) joinLag() {
	if t.joined > 0 && t.rawAt > 0 {
		t.Metrics.Join.LagTransactions.Set(float64(max(t.rawAt, t.joined) - t.joined))
	}
}

// Covered notes since which unit each table is complete in the raw stream.
func (t *Tracker) Covered(since map[string]change.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.covered = since
	t.signal()
}

// CoveredFrom returns since which unit a table is complete; 0: it is not.
func (t *Tracker) CoveredFrom(table string) change.Seq {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.covered[table]
}

// Sizes notes how many rows the source believes tables to have.
func (t *Tracker) Sizes(rows map[string]uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizes = rows
	for name, n := range rows {
		t.Metrics.Snapshot.EstimatedRows.WithLabelValues(name).Set(float64(n))
	}
	for _, c := range t.covers {
		if c.Stream == "" || len(c.Cover.Tables) == 0 {
			continue
		}
		left := 0.0
		if of := sum(rows, c.Cover.Tables); c.Ended.IsZero() && c.Rows > 0 && of > uint64(c.Rows) {
			left = time.Since(c.Started).Seconds() * float64(of-uint64(c.Rows)) / float64(c.Rows)
		}
		for _, name := range c.Cover.Tables {
			if _, ok := rows[name]; ok {
				t.Metrics.Snapshot.RemainingSeconds.WithLabelValues(name).Set(left)
			}
		}
	}
}

// Size returns how many rows the source believes these tables to have in all; 0: not known.
func (t *Tracker) Size(tables []string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sum(t.sizes, tables)
}

func sum(rows map[string]uint64, tables []string) (n uint64) {
	for _, name := range tables {
		n += rows[name]
	}
	return n
}

// Left forgets a table that is gone.
func (t *Tracker) Left(table string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.paused, table)
	t.Metrics.Snapshot.Running.DeleteLabelValues(table)
	t.signal()
}

// PausedTables returns the tables that are put aside, and why.
func (t *Tracker) PausedTables() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.paused)
}

// Consumed counts rows that the joiner has read.
func (t *Tracker) Consumed(byTable map[string]int) {
	for name, n := range byTable {
		t.Metrics.Join.InputRows.WithLabelValues(name).Add(float64(n))
	}
}

// Stage notes a stage's state.
func (t *Tracker) Stage(s StageState) {
	up := 0.0
	if s.State == "running" {
		up = 1
	}
	if s.Sink != "" {
		t.Metrics.Sink.Up.WithLabelValues(s.Sink).Set(up)
		resting := 0.0
		if s.Resting {
			resting = 1
		}
		t.Metrics.Sink.BreakerOpen.WithLabelValues(s.Sink).Set(resting)
		if s.State == "retrying" {
			reason := "other"
			if r := asRetry(s.Err); r != nil {
				reason = r.Reason
			}
			t.Metrics.Sink.Retries.WithLabelValues(s.Sink, reason).Inc()
		}
	} else {
		t.Metrics.StageUp.WithLabelValues(s.Name).Set(up)
		t.source(s, up)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signal()
}

// source notes what the capture stage's state says of the connection to the source.
func (t *Tracker) source(s StageState, up float64) {
	if s.Name != "capture" {
		return
	}
	t.Metrics.Source.Connected.Set(up)
	if s.State == "retrying" {
		reason := "other"
		switch {
		case errors.Is(s.Err, cdc.ErrDisconnected):
			reason = "disconnected"
		case errors.Is(s.Err, ErrPurged):
			reason = "purged"
		case errors.Is(s.Err, stream.ErrRestart), errors.Is(s.Err, stream.ErrUnknownOutcome):
			reason = "broker"
		}
		t.Metrics.Source.Reconnects.WithLabelValues(reason).Inc()
	}
}

// Stream returns where a stream stands.
func (t *Tracker) Stream(name string) StreamProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[name]
}

// Covers returns the covers that run or have ended lately, oldest first.
func (t *Tracker) Covers() []CoverProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.covers)
}
