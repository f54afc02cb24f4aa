package main

import (
	"context"
	"time"

	capture "github.com/etlsandbox/cdc/cdc"
)

// sourceFigures returns a function that asks the source what only it knows: how many rows it believes the
// captured tables to have, and how long it keeps its log. The latter does not change while it runs.
func (s *service) sourceFigures(ctx context.Context, src *capture.Source) func() {
	const patience = 5 * time.Second
	keep, asked := time.Duration(0), time.Time{}
	return func() {
		if time.Since(asked) > time.Minute || s.covering() {
			asked = time.Now()
			ctx, stop := context.WithTimeout(ctx, patience)
			defer stop()
			if rows, err := src.EstimatedRows(ctx); err == nil {
				s.track.Sizes(s.ofCaptured(rows))
			}
			if k, err := src.KeepsLog(ctx); err == nil {
				keep = k
			}
		}
		left := farFromRunning
		if keep > 0 {
			raw := s.track.Stream(s.settings().Name)
			left = max(0, keep-time.Duration(age(raw.CommitMicros)*float64(time.Second)))
			if n, err := src.Current(ctx); err == nil && n == raw.Mark.Position {
				left = keep // nothing before the log's end is needed
			}
		}
		s.metrics.Source.Retention.Set(left.Seconds())
		s.metrics.Source.Lag.Set(s.sourceLag())
	}
}

// sourceLag is how far reading is behind the source, in seconds.
func (s *service) sourceLag() float64 {
	const beats = 3 // so many heartbeats may be late before the silence itself counts
	return s.track.SourceLag(time.Now(), beats*s.settings().Source.Heartbeat).Seconds()
}

func (s *service) covering() bool {
	for _, c := range s.track.Covers() {
		if c.Ended.IsZero() {
			return true
		}
	}
	return false
}

func (s *service) ofCaptured(rows map[string]uint64) map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := map[string]uint64{}
	for _, name := range s.tables {
		if n, ok := rows[name]; ok {
			mine[name] = n
		}
	}
	return mine
}
