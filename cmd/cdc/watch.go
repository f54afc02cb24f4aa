package main

import (
	"context"
	"crypto/sha256"
	"os"
	"sync"
	"syscall"
	"time"
)

// watchEvery is how often a watched file is looked at.
const watchEvery = 2 * time.Second

// reloadAsks joins what asks for a reload: SIGHUP and, if file is not "", a change of that file's content.
// Whoever calls stop has no goroutine left behind.
func (a *app) reloadAsks(ctx context.Context, file string) (asks <-chan os.Signal, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan os.Signal, 1)
	ask := func() {
		select {
		case out <- syscall.SIGHUP:
		default: // one is waiting already, and will see this change too
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a.hangup:
				ask()
			}
		}
	})
	if file != "" {
		wg.Go(func() {
			tick := time.NewTicker(watchEvery)
			defer tick.Stop()
			watchFile(ctx, file, tick.C, ask)
		})
	}
	return out, func() {
		cancel()
		wg.Wait()
	}
}

// watchFile calls changed when the file's content differs from what it was, looking at each tick. Content,
// not time, is compared: editors and orchestrators replace files, or touch them without a change. A file
// that is gone for a moment, as while it is replaced, has not changed.
func watchFile(ctx context.Context, file string, tick <-chan time.Time, changed func()) {
	seen, _ := contentOf(file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if now, ok := contentOf(file); ok && now != seen {
			seen = now
			changed()
		}
	}
}

func contentOf(file string) (sum [sha256.Size]byte, ok bool) {
	b, err := os.ReadFile(file)
	return sha256.Sum256(b), err == nil
}
