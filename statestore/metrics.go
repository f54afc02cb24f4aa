package statestore

import "github.com/cockroachdb/pebble/v2"

// Metrics says how the store is. Sizes are in bytes.
type Metrics struct {
	DiskBytes      uint64
	BlockCache     int64
	MemTables      uint64
	RowCache       int64
	RowCacheHits   uint64
	RowCacheMisses uint64
	BlockHits      int64
	BlockMisses    int64
	// ReadAmp is how many sorted runs a read must look into; L0 files pile up when writes outrun compaction.
	ReadAmp        int
	CompactionDebt uint64
}

// Metrics returns the store's figures; zero after a failure. It may be called from any goroutine until
// Close begins.
func (s *Store) Metrics() Metrics {
	var m *pebble.Metrics
	if err := s.do(func() error { m = s.db.Metrics(); return nil }); err != nil {
		return Metrics{}
	}
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	return Metrics{
		DiskBytes:      m.DiskSpaceUsage(),
		BlockCache:     m.BlockCache.Size,
		BlockHits:      m.BlockCache.Hits,
		BlockMisses:    m.BlockCache.Misses,
		MemTables:      m.MemTable.Size,
		RowCache:       int64(s.rows.bytes),
		RowCacheHits:   s.rows.hits,
		RowCacheMisses: s.rows.misses,
		ReadAmp:        m.ReadAmp(),
		CompactionDebt: m.Compact.EstimatedDebt,
	}
}
