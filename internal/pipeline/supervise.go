package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Stage is a part of the daemon that is started again when it fails.
type Stage struct {
	Name string
	// Sink is the destination of a deliver stage, "" of others.
	Sink string
	// Run blocks until ctx ends or it fails.
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
}

// Supervisor runs stages, starts them again with growing pauses, and stops everything when one of them
// meets what concerns the whole daemon.
type Supervisor struct {
	Log *slog.Logger
	// Changed is called with each new state; nil is allowed.
	Changed func(StageState)

	mu     sync.Mutex // guards states
	states map[string]StageState
}

// Run blocks until ctx ends (then nil) or a stage's error concerns the daemon (then that error).
func (s *Supervisor) Run(ctx context.Context, stages ...Stage) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	var reachable atomic.Int64 // destinations that have not refused access at their start
	for _, st := range stages {
		if st.Sink != "" {
			reachable.Add(1)
		}
	}
	// Without any destination left a wrong password is a daemon that could not start.
	alone := func() bool { return reachable.Add(-1) == 0 }
	for _, st := range stages {
		wg.Go(func() {
			if err := s.keep(ctx, st, alone); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// keep runs one stage until it stops for good; the error, if any, concerns the daemon. alone is called when a
// destination refuses access at its start, and reports whether it was the last one.
func (s *Supervisor) keep(ctx context.Context, st Stage, alone func() bool) error {
	log := s.Log.With("stage", st.Name)
	if st.Sink != "" {
		log = log.With("sink", st.Sink)
	}
	pause := time.Duration(0)
	for restarts := 0; ; restarts++ {
		s.set(StageState{Name: st.Name, Sink: st.Sink, State: "running", Restarts: restarts})
		began := time.Now()
		err := st.Run(ctx)
		if ctx.Err() != nil {
			s.set(StageState{Name: st.Name, Sink: st.Sink, State: "stopped", Restarts: restarts})
			return nil
		}
		if err == nil {
			err = errors.New("the stage ended by itself")
		}
		v := Judge(err)
		least, most := st.Backoff()
		switch {
		case v.Retry:
			if time.Since(began) > most {
				pause = 0
			}
			pause = min(max(least, 2*pause), most)
			d := pause/2 + rand.N(pause/2+1)
			log.Warn("stage failed, it starts again", "err", err, "pause", d.Round(time.Millisecond))
			s.set(StageState{Name: st.Name, Sink: st.Sink, State: "retrying", Err: err, Restarts: restarts})
			if Sleep(ctx, d) != nil {
				return nil
			}
		case v.Scope == ScopeSink && v.Refused && restarts == 0 && alone():
			s.set(StageState{Name: st.Name, Sink: st.Sink, State: "stopped", Err: err, Restarts: restarts})
			return fmt.Errorf("sink %s: %w", st.Sink, err)
		case v.Scope == ScopeSink:
			log.Error("destination stopped, the others go on", "err", err)
			s.set(StageState{Name: st.Name, Sink: st.Sink, State: "stopped", Err: err, Restarts: restarts})
			<-ctx.Done()
			return nil
		default:
			s.set(StageState{Name: st.Name, Sink: st.Sink, State: "stopped", Err: err, Restarts: restarts})
			if st.Sink != "" {
				return fmt.Errorf("sink %s: %w", st.Sink, err)
			}
			return fmt.Errorf("%s: %w", st.Name, err)
		}
	}
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
