package pipeline

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

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
		// What is not delivered has no lag and no retention.
		m := t.Metrics.Sink
		for _, gauge := range []*prometheus.GaugeVec{m.AppliedSeq, m.Lag, m.LagTransactions, m.Retention} {
			gauge.DeleteLabelValues(sink)
		}
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
	t.sinkLag(sink)
	t.signal()
}

// Resumed notes where a destination stands in a stream when its stage starts.
func (t *Tracker) Resumed(sink, stream string, at change.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress(sink, stream).Mark = at
	t.sinkLag(sink)
	t.signal()
}

// Behind is how many units a destination has not got of those that its streams have: of the stream where it
// lacks most. known is false while it has none of a stream, so that there is no number to count from.
func (t *Tracker) Behind(sink string) (units change.Seq, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.behind(sink)
}

func (t *Tracker) behind(sink string) (units change.Seq, known bool) {
	for _, p := range t.sinks[sink] {
		newest := t.streams[p.Stream].Mark.Seq
		if p.Mark.Seq == 0 {
			return 0, false
		}
		units = max(units, max(newest, p.Mark.Seq)-p.Mark.Seq)
	}
	return units, len(t.sinks[sink]) > 0
}

// sinkLag keeps the metric of what a destination has before it; the caller holds mu.
func (t *Tracker) sinkLag(sink string) {
	gauge := t.Metrics.Sink.LagTransactions
	if units, known := t.behind(sink); known {
		gauge.WithLabelValues(sink).Set(float64(units))
		return
	}
	gauge.DeleteLabelValues(sink)
}

// Stages notes the covers that keep a destination from showing what its Mark says.
func (t *Tracker) Stages(sink, stream string, covers []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress(sink, stream).Staging = covers
	t.signal()
}

// Aside notes which tables or views of a stream a destination refuses, and why.
func (t *Tracker) Aside(sink, stream string, why map[string]error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.progress(sink, stream)
	p.Aside, p.Stopped = why, nil
	t.signal()
}

// Stopped notes that a destination gets nothing more of a stream until an operator resumes it, and why.
func (t *Tracker) Stopped(sink, stream string, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.progress(sink, stream)
	p.Aside, p.Stopped = nil, why
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
