package main

import (
	"fmt"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
)

// A sink is warned about when so much of the retention lies before it, and again only after it was below.
const (
	warnRetention  = 0.8
	calmRetention  = 0.7
	farFromRunning = 365 * 24 * time.Hour
)

// watchRetention returns a function that says, for each sink, how long the broker still keeps what it needs.
func (s *service) watchRetention() func() {
	warned := map[string]bool{}
	return func() {
		cfg := s.settings()
		fill := 0.0
		if s.embedded != nil {
			fill = s.embedded.Fill()
		}
		for _, name := range sortedNames(cfg.Sinks) {
			left, used := farFromRunning, 0.0
			known := false
			for _, p := range s.track.Sink(name) {
				if p.Mark.IsZero() || p.At.IsZero() {
					continue // it has not answered since the start: nobody knows where it stands
				}
				l, u := retention(p, s.track.Stream(p.Stream), time.Now(), cfg.Broker.Retention, fill)
				left, used, known = min(left, l), max(used, u), true
			}
			if !known {
				continue
			}
			s.metrics.Sink.Retention.WithLabelValues(name).Set(left.Seconds())
			switch {
			case used >= warnRetention && !warned[name]:
				warned[name] = true
				s.log.Warn(fmt.Sprintf("in %s the broker drops what the sink still needs; it is then filled again by a cover", left.Round(time.Second)),
					"sink", name, "hint", "let the destination catch up, or raise broker.retention or broker.retention_bytes")
			case used < calmRetention:
				warned[name] = false
			}
		}
	}
}

// retention says how long what a sink needs next is still kept, and how much of that time has passed. What
// is behind it was written at p.At at the earliest; a broker that is filled by its share fill keeps it, at the
// rate of so far, until it is full.
func retention(p pipeline.SinkProgress, newest pipeline.StreamProgress, now time.Time, keep time.Duration, fill float64) (left time.Duration, used float64) {
	if p.Mark.Seq >= newest.Mark.Seq {
		return keep, 0
	}
	age := max(0, now.Sub(p.At))
	left = max(0, keep-age)
	if fill > 0 {
		left = min(left, time.Duration(float64(age)*(1-min(1, fill))/fill))
	}
	if left+age == 0 {
		return left, 0
	}
	return left, max(float64(age)/float64(left+age), 0)
}
