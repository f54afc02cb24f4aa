package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/etlsandbox/cdc/sinks"
)

var errMend = &sinks.StopError{What: "table x is not ours", Hint: "adopt it"}

// runs is a part that starts, would ask for a cover, and goes on until the context ends.
func runs(asks *atomic.Int64) part {
	return func(ctx context.Context, started func(), ready func(context.Context) error) error {
		started()
		if err := ready(ctx); err != nil {
			return err
		}
		asks.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
}

func fails(err error) part {
	return func(context.Context, func(), func(context.Context) error) error { return err }
}

// However often one stream fails to start, no cover is asked for its other one.
func TestNoCoverBeforeAllParts(t *testing.T) {
	var asks atomic.Int64
	for range 20 {
		err := inTurn(t.Context(), []part{runs(&asks), fails(errors.New("the disk is full"))}, func() { t.Error("up") },
			func(int, error) { t.Error("one part stopped alone") })
		if err == nil || !strings.Contains(err.Error(), "disk is full") {
			t.Fatalf("got %v", err)
		}
	}
	if n := asks.Load(); n != 0 {
		t.Errorf("%d covers were asked for", n)
	}
}

// What is said of a destination is said once, however many streams it gets and however often it starts.
func TestEachOnce(t *testing.T) {
	var said []string
	warn := eachOnce(func(text string) { said = append(said, text) })
	for _, text := range []string{"a", "b", "a", "b", "a"} {
		warn(text)
	}
	if !slices.Equal(said, []string{"a", "b"}) {
		t.Errorf("said %v", said)
	}
}

// A stream that an operator must mend ends alone, wherever it stands in the order; refused credentials, being fenced
// and what passes end both, and so does the last one that stops.
func TestPartEndsAlone(t *testing.T) {
	for name, order := range map[string][]int{"the first": {0, 1}, "the second": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			var asks atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			parts := make([]part, 2)
			parts[order[0]], parts[order[1]] = fails(errMend), runs(&asks)
			up, stopped := make(chan struct{}), make(chan int, 2)
			done := make(chan error, 1)
			go func() {
				done <- inTurn(ctx, parts, func() { close(up) }, func(i int, _ error) { stopped <- i })
			}()
			if i := <-stopped; i != order[0] {
				t.Errorf("part %d stopped", i)
			}
			<-up
			stop()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	var asks atomic.Int64
	alone := func(int, error) { t.Error("it ended alone") }
	for _, err := range []error{&sinks.StopError{What: "password", Access: true}, sinks.ErrFenced} {
		if got := inTurn(t.Context(), []part{runs(&asks), fails(err)}, func() {}, alone); !errors.Is(got, err) {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	var order []int
	got := inTurn(t.Context(), []part{fails(errMend), fails(errMend)}, func() { t.Error("up") }, func(i int, _ error) { order = append(order, i) })
	if !errors.Is(got, sinks.ErrStop) || !slices.Equal(order, []int{0}) {
		t.Errorf("got %v after %v", got, order)
	}
}
