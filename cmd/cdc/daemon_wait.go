package main

import (
	"context"
	"fmt"
	"time"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// provedEvery is how often the source is asked again whether its log has what the stream has.
const provedEvery = 100 * time.Millisecond

// untilShown returns when the sinks show everything that the source had committed at a position. Places of the log
// alone do not say so: of a source that was set back, those of the log that was hold those of the log that is. So the
// stream must have got there in the log of now, and the sinks must then get to where the stream was: numbers of its
// units never move back.
func (s *service) untilShown(ctx context.Context, src *capture.Source, sinks []string, pos change.Position) error {
	raw, err := s.untilCaptured(ctx, src, pos)
	if err != nil {
		return err
	}
	views := change.Seq(0) // where the view stream was when it had got there; 0: it has not
	for {
		changed := s.track.Changed()
		if views == 0 {
			if joined, out := s.track.JoinedAt(s.viewStream()); joined >= raw {
				views = max(out, 1)
			}
		}
		if s.shown(sinks, raw, views) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sinks do not show %s yet: %w", pos, ctx.Err())
		case <-changed:
		}
	}
}

// untilCaptured returns a unit of the raw stream up to which it has all of a position in the source's log of now.
func (s *service) untilCaptured(ctx context.Context, src *capture.Source, pos change.Position) (change.Seq, error) {
	for {
		changed := s.track.Changed()
		at := s.track.Stream(s.settings().Name).Mark
		there, err := s.sameLog(ctx, src, at.Position, pos)
		if err != nil {
			return 0, err
		}
		if there {
			return at.Seq, nil
		}
		again := time.NewTimer(provedEvery)
		select {
		case <-ctx.Done():
			again.Stop()
			return 0, fmt.Errorf("the stream does not hold %s yet: %w", pos, ctx.Err())
		case <-changed:
			again.Stop()
		case <-again.C:
		}
	}
}

// sameLog reports whether a place of the stream lies at or behind a position and in the source's log of now.
func (s *service) sameLog(ctx context.Context, src *capture.Source, at, pos change.Position) (bool, error) {
	if at.Server != pos.Server {
		return false, nil
	}
	if there, err := s.places.Contains(at, pos); err != nil || !there {
		return false, err
	}
	now, err := src.Current(ctx)
	if err != nil {
		return false, err
	}
	return s.places.Contains(now, at)
}

// shown reports whether all sinks show what the streams held up to these units; one that stages a cover does not.
func (s *service) shown(sinks []string, raw, views change.Seq) bool {
	for _, name := range sinks {
		at := s.track.Sink(name)
		if len(at) == 0 {
			return false
		}
		for _, p := range at {
			goal := raw
			if p.Stream == s.viewStream() {
				if goal = views; views == 0 || !s.defined.shown(p.Mark.Seq) {
					return false
				}
			}
			if p.Mark.IsZero() || len(p.Staging) > 0 || p.Mark.Seq < goal {
				return false
			}
		}
	}
	return true
}
