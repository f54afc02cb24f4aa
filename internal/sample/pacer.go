package sample

import (
	"context"
	"sync"
	"time"
)

// A Pacer decides when the next transaction may begin. Several goroutines call Wait;
// it returns nil when one may go on, or an error when there is nothing more to wait
// for. An error that is the context's own ends a load without being reported.
type Pacer interface {
	Wait(ctx context.Context) error
}

// NewPacer lets perSecond callers through in a second, evenly spread. Time that nobody
// asked for is lost: after a stall there is no burst. A rate of 0 or less never waits.
func NewPacer(perSecond float64) Pacer {
	if perSecond <= 0 {
		return unpaced{}
	}
	return &evenPacer{interval: time.Duration(float64(time.Second) / perSecond)}
}

type unpaced struct{}

func (unpaced) Wait(ctx context.Context) error { return ctx.Err() }

type evenPacer struct {
	interval time.Duration
	mu       sync.Mutex
	next     time.Time // when the next caller may go on
}

func (p *evenPacer) Wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.interval)
	p.mu.Unlock()
	return sleep(ctx, at.Sub(now))
}

// sleep waits for d or until ctx ends, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
