package statestore

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// ErrFailed is wrapped by every error after the disk has failed the store: what is on disk is whole, what
// was not synced may be lost, and nothing more is read or written until the store is opened again.
var ErrFailed = errors.New("the state store has failed; free or repair the disk and start again")

// guard keeps Pebble's way of failing inside the process. Pebble ends the process, panics, or retries
// for ever where it cannot write; here such a failure is remembered, every call in progress returns it,
// and so does every call that follows.
type guard struct {
	once   sync.Once
	broken chan struct{}
	err    error // readable once broken is closed
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

// do runs f, which calls into Pebble, on a goroutine of its own, because Pebble's failure may end or
// block that goroutine. After a failure the goroutine may outlive the call, blocked for good: the store
// is of no more use then, and the process is expected to stop.
func (g *guard) do(f func() error) error {
	if err := g.failure(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		var err error
		finished := false
		defer func() {
			if p := recover(); p != nil {
				g.fail(fmt.Errorf("%v", p))
				err = g.failure()
			} else if !finished {
				err = g.failure()
			}
			done <- err
		}()
		err = f()
		finished = true
	}()
	select {
	case err := <-done:
		return err
	case <-g.broken:
		return g.err
	}
}

// Infof implements pebble.Logger: the store has no log, Metrics says how it is.
func (g *guard) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (g *guard) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger. It must not return; ending the goroutine runs its deferred unlocks.
func (g *guard) Fatalf(format string, args ...any) {
	g.fail(fmt.Errorf(format, args...))
	runtime.Goexit()
}

// events are the listeners that Pebble reports failures of background work to.
func (g *guard) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { g.fail(fmt.Errorf("write in the background: %w", err)) },
		DataCorruption:  func(info pebble.DataCorruptionInfo) { g.fail(fmt.Errorf("read: %s", info)) },
	}
}
