package sample

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// maxSamples bounds a Latency's memory (8 MiB); beyond it the oldest samples give way.
const maxSamples = 1 << 20

// Latency measures how long after its commit a change is visible elsewhere. Changes are
// numbered upwards by one writer; a reader that sees number n sees all before it. Both
// give times of the same clock. Its methods may be called from several goroutines, and
// a change may be seen before its commit has been reported: that is latency zero, not
// less.
type Latency struct {
	mu        sync.Mutex
	pending   []commit // in order of their numbers
	visible   int64    // the highest number seen
	visibleAt time.Time
	samples   []time.Duration
	oldest    int // where the next sample goes when samples is full
	count     int64
	max       time.Duration
}

type commit struct {
	number int64
	at     time.Time
}

// LatencySummary is what a Latency has measured.
type LatencySummary struct {
	// Count is the number of changes that were seen; Pending ones were not yet.
	Count, Pending int64
	P50, P99, Max  time.Duration
}

func (s LatencySummary) String() string {
	if s.Count == 0 {
		return fmt.Sprintf("commit to visible: nothing seen, %d pending", s.Pending)
	}
	return fmt.Sprintf("commit to visible: p50 %v, p99 %v, max %v over %d commits",
		s.P50.Round(100*time.Microsecond), s.P99.Round(100*time.Microsecond), s.Max.Round(100*time.Microsecond), s.Count)
}

// NewLatency makes one that has seen nothing. Numbers are positive.
func NewLatency() *Latency { return new(Latency) }

// Committed reports that COMMIT of the change with this number returned at that time.
// Numbers rise from call to call.
func (l *Latency) Committed(number int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number <= l.visible {
		l.sample(l.visibleAt.Sub(at))
		return
	}
	l.pending = append(l.pending, commit{number, at})
}

// VisibleUpTo reports that a read which ended at that time saw this number. Lower
// numbers than before are ignored.
func (l *Latency) VisibleUpTo(number int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number <= l.visible {
		return
	}
	l.visible, l.visibleAt = number, at
	seen := 0
	for seen < len(l.pending) && l.pending[seen].number <= number {
		l.sample(at.Sub(l.pending[seen].at))
		seen++
	}
	l.pending = slices.Delete(l.pending, 0, seen)
}

func (l *Latency) sample(d time.Duration) {
	d = max(d, 0)
	l.count++
	l.max = max(l.max, d)
	if len(l.samples) < maxSamples {
		l.samples = append(l.samples, d)
		return
	}
	l.samples[l.oldest] = d
	l.oldest = (l.oldest + 1) % maxSamples
}

// Summary gives the percentiles (nearest rank) so far.
func (l *Latency) Summary() LatencySummary {
	l.mu.Lock()
	sorted := slices.Clone(l.samples)
	s := LatencySummary{Count: l.count, Pending: int64(len(l.pending)), Max: l.max}
	l.mu.Unlock()
	if len(sorted) == 0 {
		return s
	}
	slices.Sort(sorted)
	rank := func(p float64) time.Duration { return sorted[int(math.Ceil(p*float64(len(sorted))))-1] }
	s.P50, s.P99 = rank(0.50), rank(0.99)
	return s
}
