package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// errNotHere means that a source has no such server; the next one is tried.
var errNotHere = errors.New("not here")

// errUnavailable means that a source would have the server and cannot deliver
// it today (no network, a broken release); the next one is tried, and this
// is told. Any other error of a source is a server that was found and failed.
var errUnavailable = errors.New("not to be had")

// source is one way to get a server. get fills in the server; an error means
// that this way does not work.
type source struct {
	from string
	get  func(ctx context.Context) error
}

// sourceRule says which sources may serve a start.
type sourceRule int

const (
	anySource sourceRule = iota
	// ownSource leaves out the environment's addresses: the caller will kill
	// or change the server.
	ownSource
)

// obtain gets s from the first source that works and reports it. An address
// that the environment names must work: it is never replaced by another.
func (e *Env) obtain(ctx context.Context, s *Server, rule sourceRule, sources []source) error {
	ctx, done, err := e.admit(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	begin := time.Now()
	missing := &MissingError{Kind: s.Kind}
	for _, src := range sources {
		if rule == ownSource && src.from == fromEnvironment {
			continue
		}
		err := src.get(ctx)
		if err == nil {
			s.From = src.from
			took := time.Since(begin)
			e.logf("%s %s answers on %s (from %s, %s)", s.Kind, s.Version, s.Addr, s.From, seconds(took))
			return e.reportStart(s, took)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("start %s: %w", s.Kind, err)
		}
		if src.from == fromEnvironment && !errors.Is(err, errNotHere) {
			return fmt.Errorf("use the %s that the environment names: %w", s.Kind, err)
		}
		if !errors.Is(err, errNotHere) {
			e.logf("%s from %s: %v", s.Kind, src.from, err)
		}
		missing.Tried = append(missing.Tried, fmt.Errorf("%s: %w", src.from, err))
		if err := s.reset(); err != nil {
			return err
		}
	}
	for _, err := range missing.Tried {
		if !errors.Is(err, errNotHere) && !errors.Is(err, errUnavailable) {
			return fmt.Errorf("start %s: a server was found and failed: %w", s.Kind, errors.Join(missing.Tried...))
		}
	}
	return missing
}

// reset forgets a try that failed, with its folder.
func (s *Server) reset() error {
	if s.engine == nil {
		return nil
	}
	if err := s.destroy(); err != nil {
		return err
	}
	s.engine, s.remove = nil, nil
	if s.dir == "" {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove the folder of a server that did not start: %w", err)
	}
	s.dir = ""
	return nil
}
