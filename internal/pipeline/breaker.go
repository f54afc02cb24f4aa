package pipeline

import (
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// restAfter is how many failures without a success in between make a destination rest.
const restAfter = 5

// breaker leaves a destination alone that fails again and again: after restAfter failures it is tried only
// once every longest pause, and a metric says that pausing did not help.
type breaker struct {
	cb   circuitbreaker.CircuitBreaker[any]
	rest func() time.Duration
}

// newBreaker returns a closed breaker; rest is asked for the length of each rest, because it is live.
func newBreaker(rest func() time.Duration) *breaker {
	// The supervisor waits for the length of a rest itself, so the breaker's own delay is none.
	cb := circuitbreaker.NewBuilder[any]().WithFailureThreshold(restAfter).WithDelay(time.Nanosecond).Build()
	return &breaker{cb: cb, rest: rest}
}

// trying notes that the destination is tried again, after a rest for a single time.
func (b *breaker) trying() { b.cb.TryAcquirePermit() }

// failed counts a failure and returns how long to wait before the next attempt, at least pause, and whether
// the destination rests meanwhile.
func (b *breaker) failed(pause time.Duration) (wait time.Duration, resting bool) {
	b.cb.RecordFailure()
	if !b.cb.IsOpen() {
		return pause, false
	}
	return max(pause, b.rest()), true
}

// succeeded forgets the failures.
func (b *breaker) succeeded() {
	if !b.cb.IsClosed() {
		b.cb.Close()
		return
	}
	b.cb.RecordSuccess()
}
