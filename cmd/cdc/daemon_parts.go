package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/sinks"
)

// part delivers one stream to a sink until ctx ends or it fails. It calls started when the destination has answered
// and has its tables, and waits for ready before it asks for a cover.
type part func(ctx context.Context, started func(), ready func(context.Context) error) error

// inTurn runs the parts of a sink side by side, each from when the one before has started, so that they do not meet
// while they make their tables; up is called when all have, and only then covers are asked for. A part that an
// operator must mend ends alone, which stopped is told: what the other delivers is as true without it. Any other
// failure ends all parts, and so does the last one that stops.
func inTurn(ctx context.Context, parts []part, up func(), stopped func(i int, err error)) error {
	g, ctx := errgroup.WithContext(ctx)
	before, all := make(chan struct{}), make(chan struct{})
	close(before)
	ready := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-all:
			return nil
		}
	}
	var ended atomic.Int64
	why := make([]error, len(parts)) // each written before its part counts as ended
	for i, run := range parts {
		wait, started := before, make(chan struct{})
		before = started
		g.Go(func() error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-wait:
			}
			once := sync.OnceFunc(func() {
				close(started)
				if i == len(parts)-1 {
					up()
					close(all)
				}
			})
			why[i] = run(ctx, once, ready)
			if !endsAlone(why[i]) {
				return why[i]
			}
			if int(ended.Add(1)) == len(parts) {
				return errors.Join(why...)
			}
			stopped(i, why[i])
			once()
			return nil
		})
	}
	return g.Wait()
}

// eachOnce passes each text on once: a sink's streams, and its starts after failures, find the same.
func eachOnce(warn func(text string)) func(text string) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if !told[text] {
			told[text] = true
			warn(text)
		}
	}
}

// endsAlone reports whether an error of one stream says nothing of the sink's other one.
func endsAlone(err error) bool {
	return errors.Is(err, sinks.ErrStop) && !pipeline.Judge(err).Refused
}

// resumeHint is how a sink is started again after somebody has mended what it stopped on.
func resumeHint(sink string) string {
	return "mend what the reason names, then cdc sink resume " + sink
}

// refusedBy notes and logs which tables or views a destination refuses.
func (s *service) refusedBy(sink, stream string, refused map[string]error) {
	had := s.track.SinkIn(sink, stream).Aside
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if old := had[name]; old == nil || old.Error() != refused[name].Error() {
			s.log.Error("the destination refuses a table or view, the others go on", "stage", "deliver", "sink", sink, "stream", stream,
				"table", name, "err", refused[name], "hint", resumeHint(sink))
		}
	}
	s.track.Aside(sink, stream, refused)
}

// asideAt says, a line each, what a sink does not get of what it should, and why; names are those tables and views.
func (s *service) asideAt(sink string) (lines, names []string) {
	for _, p := range s.track.Sink(sink) {
		if p.Stopped != nil {
			lines = append(lines, fmt.Sprintf("nothing of stream %s is delivered: %v", p.Stream, p.Stopped))
		}
		for _, name := range slices.Sorted(maps.Keys(p.Aside)) {
			lines, names = append(lines, fmt.Sprintf("%s is not delivered: %v", name, p.Aside[name])), append(names, name)
		}
	}
	return lines, names
}
