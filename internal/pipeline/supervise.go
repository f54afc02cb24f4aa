package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Stage is a part of the daemon that is started again when it fails.
type Stage struct {
	Name string
	// Sink is the destination of a deliver stage, "" of others.
	Sink string
	// Run blocks until ctx ends or it fails. One of a destination calls Supervisor.Up once the destination
	// has answered; others count as running from their start.
	Run func(ctx context.Context) error
	// Backoff bounds the pauses between two starts.
	Backoff func() (least, most time.Duration)
}

// StageState is how a stage is doing.
type StageState struct {
	Name, Sink string
	State      string // starting, running, retrying, stopped
	Since      time.Time
	Err        error
	Restarts   int
	// Resting: after repeated failures the destination is left alone for a while.
	Resting bool
}

// Supervisor runs stages, starts them again with growing pauses, and stops everything when one of them
// meets what concerns the whole daemon.
type Supervisor struct {
	Log *slog.Logger
	// Changed is called with each new state; nil is allowed.
	Changed func(StageState)

	mu      sync.Mutex // guards what follows
	states  map[string]StageState
	breaker map[string]*breaker // by sink
	crew    *crew               // nil unless Run is under way
}

// crew is one Run of the supervisor. The supervisor's mu guards what changes.
type crew struct {
	ctx  context.Context //nolint:containedctx // the life of the run, which stages join later
	stop context.CancelCauseFunc
	wg   sync.WaitGroup
	jobs map[string]*job
	// reachable counts the destinations of the start that have not refused access. Without any left, a wrong
	// password is a daemon that could not start.
	reachable int
}

// job is one stage at work.
type job struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Run blocks until ctx ends (then nil) or a stage's error concerns the daemon (then that error).
func (s *Supervisor) Run(ctx context.Context, stages ...Stage) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &crew{ctx: ctx, stop: stop, jobs: map[string]*job{}}
	s.mu.Lock()
	s.crew = c
	for _, st := range stages {
		if st.Sink != "" {
			c.reachable++
		}
	}
	for _, st := range stages {
		s.start(c, st, true)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.crew = nil // from here on nothing joins
	s.mu.Unlock()
	c.wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Add starts a further stage beside those of a Run that is under way; false when none is, or when a stage of
// that name and sink runs already.
func (s *Supervisor) Add(st Stage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.crew
	if c == nil || c.ctx.Err() != nil || c.jobs[st.Name+"/"+st.Sink] != nil {
		return false
	}
	s.start(c, st, false)
	return true
}

// End ends a stage, waits for it and forgets its state. One that does not run is no error.
func (s *Supervisor) End(name, sink string) {
	key := name + "/" + sink
	s.mu.Lock()
	var j *job
	if s.crew != nil {
		j = s.crew.jobs[key]
	}
	s.mu.Unlock()
	if j != nil {
		j.cancel()
		<-j.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crew != nil && s.crew.jobs[key] == j {
		delete(s.crew.jobs, key)
	}
	delete(s.states, key)
	delete(s.breaker, sink)
}

// start runs a stage; the caller holds mu.
func (s *Supervisor) start(c *crew, st Stage, first bool) {
	ctx, cancel := context.WithCancel(c.ctx)
	j := &job{cancel: cancel, done: make(chan struct{})}
	c.jobs[st.Name+"/"+st.Sink] = j
	alone := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !first {
			return false // the daemon has started without it
		}
		c.reachable--
		return c.reachable == 0
	}
	c.wg.Go(func() {
		defer close(j.done)
		defer cancel()
		if err := s.keep(ctx, st, alone); err != nil {
			c.stop(err)
		}
	})
}

// Up notes that a destination has answered: its stage runs, and its failures so far are forgotten.
func (s *Supervisor) Up(name, sink string) {
	s.mu.Lock()
	st, b := s.states[name+"/"+sink], s.breaker[sink]
	s.mu.Unlock()
	if b != nil {
		b.succeeded()
	}
	if st.State == "running" || st.State == "stopped" {
		return
	}
	st.Name, st.Sink, st.State, st.Err, st.Resting = name, sink, "running", nil, false
	s.set(st)
}

// keep runs one stage until it stops for good; the error, if any, concerns the daemon. alone is called when a
// destination refuses access at its start, and reports whether it was the last one.
func (s *Supervisor) keep(ctx context.Context, st Stage, alone func() bool) error {
	log := s.Log.With("stage", st.Name)
	state := StageState{Name: st.Name, Sink: st.Sink, State: "running"}
	var rest *breaker
	if st.Sink != "" {
		log = log.With("sink", st.Sink)
		state.State = "starting"
		rest = s.newBreaker(st)
	}
	pause := time.Duration(0)
	for ; ; state.Restarts++ {
		if state.State != "retrying" { // which a destination stays until it answers
			s.set(state)
		}
		if rest != nil {
			rest.trying()
		}
		began := time.Now()
		err := st.Run(ctx)
		if ctx.Err() != nil {
			state.State = "stopped"
			s.set(state)
			return nil //nolint:nilerr // what it ends with when it is asked to is no failure
		}
		if err == nil {
			err = errors.New("the stage ended by itself")
		}
		state.Err = err
		v := Judge(err)
		least, most := st.Backoff()
		switch {
		case v.Retry:
			if time.Since(began) > most {
				pause = 0
			}
			pause = min(max(least, 2*pause), most)
			d := pause/2 + rand.N(pause/2+1)
			if rest != nil {
				d, state.Resting = rest.failed(d)
			}
			what := "stage failed, it starts again in "
			if state.Resting {
				what = "stage has failed several times in a row, it is left alone for "
			}
			log.Warn(what+d.Round(time.Millisecond).String(), "err", err)
			state.State = "retrying"
			s.set(state)
			if Sleep(ctx, d) != nil {
				return nil //nolint:nilerr // it was asked to end
			}
			if rest == nil {
				state.State, state.Err = "running", nil
			}
		case v.Scope == ScopeSink && v.Refused && state.Restarts == 0 && alone():
			state.State = "stopped"
			s.set(state)
			return fmt.Errorf("sink %s: %w", st.Sink, err)
		case v.Scope == ScopeSink:
			log.Error("destination stopped, the others go on", "err", err)
			state.State = "stopped"
			s.set(state)
			<-ctx.Done()
			return nil
		default:
			state.State = "stopped"
			s.set(state)
			if st.Sink != "" {
				return fmt.Errorf("sink %s: %w", st.Sink, err)
			}
			return fmt.Errorf("%s: %w", st.Name, err)
		}
	}
}

func (s *Supervisor) newBreaker(st Stage) *breaker {
	b := newBreaker(func() time.Duration { _, most := st.Backoff(); return most })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.breaker == nil {
		s.breaker = map[string]*breaker{}
	}
	s.breaker[st.Sink] = b
	return b
}

func (s *Supervisor) set(st StageState) {
	st.Since = time.Now()
	s.mu.Lock()
	if s.states == nil {
		s.states = map[string]StageState{}
	}
	s.states[st.Name+"/"+st.Sink] = st
	s.mu.Unlock()
	if s.Changed != nil {
		s.Changed(st)
	}
}

// States returns how each stage is doing, by name and sink.
func (s *Supervisor) States() map[string]StageState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]StageState, len(s.states))
	for k, v := range s.states {
		out[k] = v
	}
	return out
}
