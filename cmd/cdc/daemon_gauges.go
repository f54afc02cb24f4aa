package main

import (
	"sync"
	"time"

	"github.com/etlsandbox/cdc/statestore"
)

// sampleEvery is how old figures may be that nobody announces.
const sampleEvery = 2 * time.Second

// sampled calls f now and then until the returned function is called, which waits for it and calls f once
// more.
func sampled(f func()) (stop func()) {
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			f()
			select {
			case <-done:
				f()
				return
			case <-tick.C:
			}
		}
	})
	return sync.OnceFunc(func() { close(done); work.Wait() })
}

// stateFigures returns a function that carries the join state's figures over into the metrics.
func (s *service) stateFigures(store *statestore.Store) func() {
	m := s.metrics.State
	var last statestore.Metrics
	return func() {
		now := store.Metrics()
		m.DiskBytes.Set(float64(now.DiskBytes))
		m.MemoryBytes.WithLabelValues("block_cache").Set(float64(now.BlockCache))
		m.MemoryBytes.WithLabelValues("row_cache").Set(float64(now.RowCache))
		m.MemoryBytes.WithLabelValues("memtables").Set(float64(now.MemTables))
		m.CacheHits.Add(float64(max(0, now.BlockHits-last.BlockHits)))
		m.CacheMisses.Add(float64(max(0, now.BlockMisses-last.BlockMisses)))
		last = now
	}
}
