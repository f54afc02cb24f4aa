package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
)

// heldUp says why a table of a sink cannot come to agree with the source for as long as nobody does something
// about it, and what to do; nil if nothing of that kind is known.
func (s *service) heldUp(what comparand) error {
	if err := s.sinkHeldUp(what.sink); err != nil {
		return err
	}
	name := what.target.From
	if at := s.track.SinkIn(what.sink, what.stream); at.Stopped != nil {
		return admin.Invalid(fmt.Sprintf("sink %s gets nothing of stream %s: %v", what.sink, what.stream, at.Stopped), resumeHint(what.sink))
	} else if why := at.Aside[name]; why != nil {
		return admin.Invalid(fmt.Sprintf("sink %s refuses %s: %v", what.sink, name, why), resumeHint(what.sink))
	}
	if what.stream != s.viewStream() {
		return s.tableHeldUp("table "+name, name)
	}
	s.mu.Lock()
	why := s.refused[name]
	s.mu.Unlock()
	if why != nil {
		return admin.Invalid("view "+name+" is paused: "+why.Error(), refusedHint)
	}
	if p := s.plan(name); p != nil {
		for _, in := range p.Inputs {
			if err := s.tableHeldUp("view "+name, in.Table.ID.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sinkHeldUp says that nothing is delivered to a sink, because an operator wants it so.
func (s *service) sinkHeldUp(name string) error {
	if paused, _ := s.pauses.daemon(); paused {
		return admin.Refused("the daemon is paused: nothing is delivered that could be compared", "cdc resume")
	}
	if s.pauses.sink(name) {
		return admin.Refused("sink "+name+" is paused: what it shows stands still while the source goes on", "cdc sink resume "+name)
	}
	return nil
}

// tableHeldUp says that a source table is paused, which what needs.
func (s *service) tableHeldUp(what, table string) error {
	why := s.track.PausedTables()[table]
	if why == "" {
		return nil
	}
	if what != "table "+table {
		what += " cannot be compared: table " + table
	}
	return admin.Invalid(fmt.Sprintf("%s is paused: %s", what, why), "mend what the reason names, then cdc resync "+table)
}

// pausedOf says that a sink should get a raw table that is paused, and so left out of what it gets; view is the
// one asked for, "" for all.
func (s *service) pausedOf(c *config.Sink, view string) error {
	s.mu.Lock()
	shapes := s.shapes
	s.mu.Unlock()
	for _, t := range shapes {
		name := t.ID.String()
		if _, ok := tableTarget(c, t); ok && (view == "" || strings.EqualFold(view, name)) {
			if err := s.tableHeldUp("table "+name, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// whileItFlows calls f with a context that ends, too, when what f waits for is held up; the error is then why.
func (s *service) whileItFlows(ctx context.Context, what comparand, f func(context.Context) error) error {
	if err := s.heldUp(what); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	var why error // written before watch is done
	watch.Go(func() {
		for {
			tracked := s.track.Changed()
			_, paused := s.pauses.daemon()
			if why = s.heldUp(what); why != nil {
				end(why)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tracked:
			case <-paused:
			}
		}
	})
	err := f(ctx)
	end(nil)
	watch.Wait()
	if err != nil && why != nil {
		return why
	}
	return err
}
