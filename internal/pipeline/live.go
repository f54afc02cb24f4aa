package pipeline

import (
	"context"
	"sync"
	"time"
)

// rate spreads rows over time.
type rate struct {
	perSecond func() int
	mu        sync.Mutex // guards next
	next      time.Time
}

// wait blocks until n rows fit the rate.
func (r *rate) wait(ctx context.Context, n int) error {
	per := 0
	if r.perSecond != nil {
		per = r.perSecond()
	}
	if per <= 0 || n == 0 {
		return nil
	}
	r.mu.Lock()
	now := time.Now()
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(float64(n) / float64(per) * float64(time.Second)))
	d := r.next.Sub(now)
	r.mu.Unlock()
	return Sleep(ctx, d)
}

// NewPace returns a function that waits as long as reading so many rows may take.
func NewPace(perSecond func() int) func(ctx context.Context, rows int) error {
	r := &rate{perSecond: perSecond}
	return r.wait
}

// Sleep waits for a time, or until the context ends.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// WallClock is the machine's clock.
type WallClock struct{}

// Now implements Clock.
func (WallClock) Now() time.Time { return time.Now() }

// AskQueue carries asks from readers to the writer's stage inside one process. It is safe for concurrent use.
type AskQueue struct {
	wake func()
	mu   sync.Mutex // guards asks
	asks []Ask
}

// NewAskQueue returns a queue; wake is called when an ask has come.
func NewAskQueue(wake func()) *AskQueue { return &AskQueue{wake: wake} }

// Ask implements Asker. A reader's newer ask replaces its older one.
func (q *AskQueue) Ask(a Ask) {
	q.mu.Lock()
	q.asks = mergeAsks(q.asks, []Ask{a})
	q.mu.Unlock()
	q.wake()
}

// Take implements Asks.
func (q *AskQueue) Take() []Ask {
	q.mu.Lock()
	defer q.mu.Unlock()
	asks := q.asks
	q.asks = nil
	return asks
}
