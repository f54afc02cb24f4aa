package main

import (
	"context"
	"sync"

	"github.com/etlsandbox/cdc/schemas/change"
)

// definitions knows from which unit of the view stream on all views have the definitions of this start. A
// destination that has not got there shows a view as it was defined before, whatever its position says.
type definitions struct {
	once sync.Once
	at   change.Seq    // written before known is closed
	done chan struct{} // closed when at is known
}

func newDefinitions() *definitions { return &definitions{done: make(chan struct{})} }

// known is what the join stage tells.
func (d *definitions) known(at change.Seq) {
	d.once.Do(func() { d.at = at; close(d.done) })
}

// shown reports whether a destination at this Seq has got there.
func (d *definitions) shown(at change.Seq) bool {
	select {
	case <-d.done:
		return at >= d.at
	default:
		return false
	}
}

// awaitDefinitions returns when a sink that runs shows its views as they are defined now.
func (s *service) awaitDefinitions(ctx context.Context, what comparand) error {
	if what.stream != s.viewStream() {
		return nil
	}
	sink := what.sink
	for {
		changed := s.track.Changed()
		st, known := s.sinkStates()[sink]
		if s.defined.shown(s.track.SinkIn(sink, s.viewStream()).Mark.Seq) || known && st.State != "running" && st.State != "starting" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-s.defined.done:
			if s.defined.shown(s.track.SinkIn(sink, s.viewStream()).Mark.Seq) {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			}
		}
	}
}
