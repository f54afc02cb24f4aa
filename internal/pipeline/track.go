package pipeline

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
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
}

// CoverProgress is a cover that runs, or has ended lately.
type CoverProgress struct {
	Cover          change.Cover
	Stream         string
	Chunks, Rows   int
	Started, Ended time.Time
}

// keptCovers is how many ended covers are remembered.
const keptCovers = 50

// NewTracker returns a Tracker that counts into the metrics.
func NewTracker(m *telemetry.Metrics) *Tracker {
	return &Tracker{Metrics: m, streams: map[string]StreamProgress{}, sinks: map[string][]SinkProgress{}, dead: map[string]int{}, paused: map[string]string{}, changed: make(chan struct{})}
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
		if c.CommitMicros > 0 {
			m.Source.Lag.Set(max(0, time.Since(time.UnixMicro(c.CommitMicros)).Seconds()))
		}
	}
	if !raw && c.Kind == change.Changes && c.CommitMicros > 0 {
		m.Join.Lag.Set(max(0, time.Since(time.UnixMicro(c.CommitMicros)).Seconds()))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.streams[c.Stream]
	s.Mark = c.Mark
	if c.CommitMicros > 0 {
		s.CommitMicros = c.CommitMicros
	}
	t.streams[c.Stream] = s
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
		// What the cover ends with, not what it began with: a table that was paused meanwhile left it.
		p.Cover.Tables = c.Cover.Tables
		for _, name := range p.Cover.Tables {
			delete(t.paused, name)
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
				o.Cover.Tables, o.Ended = nil, time.Now()
			}
			continue
		}
		o.Cover.Tables = slices.DeleteFunc(slices.Clone(o.Cover.Tables), func(name string) bool { return slices.Contains(c.Cover.Tables, name) })
		if len(o.Cover.Tables) == 0 {
			o.Ended = time.Now()
		}
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

// Delivers names the streams that a sink gets from now on, and forgets where it stood in others. The first
// is the one whose numbers the sink's metrics show.
func (t *Tracker) Delivers(sink string, streams ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []SinkProgress
	for _, name := range streams {
		p := SinkProgress{Stream: name}
		for _, o := range t.sinks[sink] {
			if o.Stream == name {
				p = o
			}
		}
		list = append(list, p)
	}
	t.sinks[sink] = list
	if len(list) == 0 {
		delete(t.sinks, sink)
	}
	t.signal()
}

// progress is where a sink stands in a stream; the caller holds mu and changes it in place.
func (t *Tracker) progress(sink, stream string) *SinkProgress {
	list := t.sinks[sink]
	for i := range list {
		if list[i].Stream == stream {
			return &list[i]
		}
	}
	t.sinks[sink] = append(list, SinkProgress{Stream: stream})
	return &t.sinks[sink][len(list)]
}

// Applied counts a batch that a destination has taken.
func (t *Tracker) Applied(sink string, a Applied) {
	m := t.Metrics.Sink
	m.ApplySeconds.WithLabelValues(sink).Observe(a.Took.Seconds())
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.progress(sink, a.Batch.Stream)
	s.Mark, s.At = a.Batch.Mark, a.At
	if t.sinks[sink][0].Stream == s.Stream {
		m.AppliedSeq.WithLabelValues(sink).Set(float64(s.Mark.Seq))
	}
	if us := a.Batch.CommitMicros; us > 0 && a.Batch.Kind == change.Changes {
		s.CommitMicros, s.Lag = us, max(0, a.At.Sub(time.UnixMicro(us)))
		s.At = a.At.Add(-s.Lag)
		if a.Batch.Rows > 0 {
			m.CommitToVisible.WithLabelValues(sink).Observe(s.Lag.Seconds())
		}
		lag := s.Lag
		for _, o := range t.sinks[sink] {
			lag = max(lag, o.Lag)
		}
		m.Lag.WithLabelValues(sink).Set(lag.Seconds())
	}
	t.signal()
}

// Resumed notes where a destination stands in a stream when its stage starts.
func (t *Tracker) Resumed(sink, stream string, at change.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress(sink, stream).Mark = at
	t.signal()
}

// Behind notes the covers that keep a destination from showing what its Mark says.
func (t *Tracker) Behind(sink, stream string, covers []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress(sink, stream).Staging = covers
	t.signal()
}

// Observer returns what a sink tells of itself.
func (t *Tracker) Observer(sink string) sinks.Observer {
	m := t.Metrics.Sink
	return sinks.Observer{
		Applied: func(table string, op change.Op, n int) {
			m.Rows.WithLabelValues(sink, table, op.String()).Add(float64(n))
		},
		Quarantined: func(table string, n int) {
			m.DeadRowsTotal.WithLabelValues(sink, table).Add(float64(n))
			t.mu.Lock()
			defer t.mu.Unlock()
			t.dead[sink] += n
		},
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
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signal()
}

// Stream returns where a stream stands.
func (t *Tracker) Stream(name string) StreamProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[name]
}

// Sink returns where a destination stands in each stream that it gets.
func (t *Tracker) Sink(name string) []SinkProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.sinks[name])
}

// SinkIn returns where a destination stands in one stream.
func (t *Tracker) SinkIn(name, stream string) SinkProgress {
	for _, p := range t.Sink(name) {
		if p.Stream == stream {
			return p
		}
	}
	return SinkProgress{Stream: stream}
}

// Refused notes how many rows a destination lists in cdc_quarantine now, by table.
func (t *Tracker) Refused(sink string, byTable map[string]int) {
	total := 0
	gauge := t.Metrics.Sink.DeadRows
	gauge.DeletePartialMatch(prometheus.Labels{"sink": sink})
	for table, n := range byTable {
		gauge.WithLabelValues(sink, table).Set(float64(n))
		total += n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead[sink] = total
}

// Quarantined returns how many rows a destination refuses: what it listed when it was asked last, and what it
// has refused since.
func (t *Tracker) Quarantined(sink string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead[sink]
}

// Covers returns the covers that run or have ended lately, oldest first.
func (t *Tracker) Covers() []CoverProgress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.covers)
}
