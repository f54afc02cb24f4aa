package statestore

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// ErrFailed is wrapped by every error after the disk has failed the store: what is on disk is whole, what
// was not synced may be lost, and nothing more is read or written until the store is opened again.
var ErrFailed = errors.New("the state store has failed; free or repair the disk and start again")

// guard keeps Pebble's way of failing inside the process. Where Pebble cannot write it ends the process,
// panics with its locks in a state that makes the runtime end the process, or retries for ever. Here the
// failure is remembered before Pebble sees it (guardedFS), the goroutine that met it goes no further,
// every call in progress returns the failure, and so does every call that follows.
type guard struct {
	once   sync.Once
	broken chan struct{}
	begins func(work string) // may be nil
	err    error             // readable once broken is closed
}

// fail remembers the first failure.
func (g *guard) fail(err error) {
	g.once.Do(func() {
		g.err = fmt.Errorf("%w: %w", ErrFailed, err)
		close(g.broken)
	})
}

// failure returns what fail was called with, or nil.
func (g *guard) failure() error {
	select {
	case <-g.broken:
		return g.err
	default:
		return nil
	}
}

// do runs f, which calls into Pebble, on a goroutine of its own, because after a failure that goroutine
// may be stuck for good, and others of Pebble's with it: the store is of no more use then, and the
// process is expected to stop.
func (g *guard) do(f func() error) error {
	if err := g.failure(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				err, ok := p.(error)
				if !ok {
					err = fmt.Errorf("%v", p)
				}
				g.fail(err)
				done <- g.failure()
			}
		}()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-g.broken:
		return g.err
	}
}

// stop remembers the failure and never returns.
func (g *guard) stop(err error) {
	g.fail(err)
	select {}
}

// Infof implements pebble.Logger: the store has no log, Metrics says how it is.
func (g *guard) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (g *guard) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger; Pebble counts on it not to return.
func (g *guard) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	g.stop(err)
}

// events are the listeners that Pebble reports background work and its failures to.
func (g *guard) events() *pebble.EventListener {
	l := &pebble.EventListener{
		BackgroundError: func(err error) { g.fail(fmt.Errorf("write in the background: %w", err)) },
		DataCorruption:  func(info pebble.DataCorruptionInfo) { g.fail(fmt.Errorf("read: %s", info)) },
	}
	if g.begins != nil {
		l.FlushBegin = func(pebble.FlushInfo) { g.begins("flush") }
		l.CompactionBegin = func(pebble.CompactionInfo) { g.begins("compaction") }
	}
	return l
}
