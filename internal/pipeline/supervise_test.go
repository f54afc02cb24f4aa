package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/sinks"
)

func quick() (least, most time.Duration) { return time.Millisecond, 2 * time.Millisecond }

// collect returns a supervisor and the channel of its states.
func collect() (*Supervisor, <-chan StageState) {
	states := make(chan StageState, 1000)
	return &Supervisor{Log: slog.New(slog.DiscardHandler), Changed: func(s StageState) { states <- s }}, states
}

// until waits for a state that fits.
func until(t *testing.T, states <-chan StageState, what string, fits func(StageState) bool) StageState {
	t.Helper()
	for {
		select {
		case s := <-states:
			if fits(s) {
				return s
			}
		case <-t.Context().Done():
			t.Fatalf("never: %s", what)
		}
	}
}

func blocked(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// A destination that fails again and again rests; when it answers, that is over.
func TestRest(t *testing.T) {
	s, states := collect()
	var tries atomic.Int64
	sink := Stage{Name: "deliver", Sink: "mars", Backoff: quick}
	sink.Run = func(ctx context.Context) error {
		if tries.Add(1) <= restAfter+1 {
			return errors.New("no answer")
		}
		s.Up("deliver", "mars")
		return blocked(ctx)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, Stage{Name: "capture", Run: blocked, Backoff: quick}, sink) }()
	failures := 0
	rest := until(t, states, "the sink rests", func(st StageState) bool {
		if st.State == "retrying" {
			failures++
		}
		return st.Resting
	})
	if failures != restAfter || rest.Sink != "mars" {
		t.Errorf("%+v after %d failures, want a rest after %d", rest, failures, restAfter)
	}
	up := until(t, states, "the sink runs", func(st StageState) bool { return st.Sink == "mars" && st.State == "running" })
	if up.Resting || up.Err != nil {
		t.Errorf("the sink runs with %+v", up)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the supervisor ends with %v", err)
	}
}

// Stages join and leave while others go on; what stops one of them stops no other.
func TestAddAndEnd(t *testing.T) {
	s, states := collect()
	if s.Add(Stage{Name: "deliver", Sink: "mars", Run: blocked, Backoff: quick}) {
		t.Error("a stage joined before anything ran")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, Stage{Name: "capture", Run: blocked, Backoff: quick}) }()
	until(t, states, "capture runs", func(st StageState) bool { return st.Name == "capture" })

	ended := make(chan struct{})
	mars := Stage{Name: "deliver", Sink: "mars", Backoff: quick, Run: func(ctx context.Context) error {
		defer close(ended)
		return blocked(ctx)
	}}
	refused := Stage{Name: "deliver", Sink: "venus", Backoff: quick, Run: func(context.Context) error {
		return &sinks.StopError{What: "password refused", Access: true}
	}}
	if !s.Add(mars) || !s.Add(refused) {
		t.Fatal("a stage could not join")
	}
	if s.Add(mars) {
		t.Error("a stage joined twice")
	}
	until(t, states, "venus stops alone", func(st StageState) bool { return st.Sink == "venus" && st.State == "stopped" })
	s.End("deliver", "mars")
	select {
	case <-ended:
	default:
		t.Error("End returned before the stage had ended")
	}
	if got := s.States(); len(got) != 2 {
		t.Errorf("states %v, want capture and venus", got)
	}
	if !s.Add(Stage{Name: "deliver", Sink: "mars", Run: blocked, Backoff: quick}) {
		t.Error("an ended stage could not join again")
	}
	fenced := Stage{Name: "deliver", Sink: "pluto", Backoff: quick, Run: func(context.Context) error { return fmt.Errorf("apply: %w", sinks.ErrFenced) }}
	if !s.Add(fenced) {
		t.Fatal("a stage could not join")
	}
	if err := <-done; !errors.Is(err, sinks.ErrFenced) {
		t.Errorf("the supervisor ends with %v, want fenced", err)
	}
	if s.Add(mars) {
		t.Error("a stage joined after the end")
	}
}

// Without any destination that grants access the daemon has not started.
func TestAllRefused(t *testing.T) {
	s, _ := collect()
	deny := func(context.Context) error { return &sinks.StopError{What: "password refused", Access: true} }
	err := s.Run(t.Context(), Stage{Name: "capture", Run: blocked, Backoff: quick},
		Stage{Name: "deliver", Sink: "mars", Run: deny, Backoff: quick}, Stage{Name: "deliver", Sink: "venus", Run: deny, Backoff: quick})
	if v := Judge(err); !v.Refused {
		t.Errorf("ends with %v", err)
	}
}
