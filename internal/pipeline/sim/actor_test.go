package sim

import (
	"errors"
	"iter"
)

var (
	errCrash = errors.New("the process is dead")
	errFlaky = errors.New("a call failed that will do next time")
	errDown  = errors.New("the destination is down")
)

// actor is a process: a coroutine that runs until an effect hands control back to the scheduler.
type actor struct {
	name    string
	body    func()
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	up      bool
	crashed bool
	die     int    // crash at so many effects from now; 0: not
	died    func() // called once a crash has unwound
}

func (w *world) start(a *actor) {
	a.crashed, a.die, a.up = false, 0, true
	a.resume, a.stop = iter.Pull(func(yield func(struct{}) bool) {
		a.yield = yield
		a.body()
	})
	w.note("start %s", a.name)
}

// turn lets an actor go on to the next effect at which it yields.
func (w *world) turn(a *actor) {
	w.cur = a
	_, more := a.resume()
	w.cur = nil
	if !more {
		w.gone(a)
	}
}

func (w *world) gone(a *actor) {
	a.up = false
	if a.crashed && a.died != nil {
		a.died()
	}
	w.note("%s is gone, crashed %v", a.name, a.crashed)
}

// crash ends an actor where it stands: every effect fails from here on.
func (w *world) crash(a *actor) {
	if !a.up {
		return
	}
	a.crashed = true
	w.cur = a
	a.stop()
	w.cur = nil
	w.gone(a)
}

// effect is where an actor may be interrupted, killed, or met by an error before an effect happens.
func (w *world) effect() error {
	a := w.cur
	if a == nil {
		return nil // the scheduler itself
	}
	if err := w.point(); err != nil {
		return err
	}
	w.effects++
	if w.atomic {
		return nil
	}
	if w.faults["flaky"] && !w.quiet && w.r.IntN(400) == 0 {
		w.note("%s: flaky", a.name)
		return errFlaky
	}
	if w.r.IntN(w.burst) > 0 {
		return nil
	}
	if !a.yield(struct{}{}) || a.crashed {
		a.crashed = true
		return errCrash
	}
	return nil
}

// point is where an actor may be killed between two effects.
func (w *world) point() error {
	a := w.cur
	switch {
	case a == nil:
		return nil
	case a.die == 1:
		w.note("crash %s at a point", a.name)
		a.crashed = true
	case a.die > 0:
		a.die--
	}
	if a.crashed {
		return errCrash
	}
	return nil
}
