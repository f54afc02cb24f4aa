package statestore

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// budget divides the memory, in bytes. What is not named here is left for indexes of open files,
// iterators and the garbage collector: without cgo Pebble's buffers live in the Go heap.
type budget struct {
	blocks   int64  // block cache
	memtable uint64 // one of up to three
	rows     int    // decoded rows
	large    int    // a batch above this takes another way to the disk
}

func plan(memory int64) budget {
	if memory == 0 {
		memory = 256 << 20
	}
	memory = max(memory, 32<<20)
	return budget{
		blocks:   memory / 4,
		memtable: uint64(min(max(memory/16, 2<<20), 32<<20)),
		rows:     int(memory / 5),
		large:    int(memory / 8),
	}
}

// pebbleOptions follow measurements over narrow rows: blocks of 8 KiB, no compression (it saves nothing
// where keys share prefixes in columnar blocks), no filters (the keys looked up exist), few levels of
// L0, a pinned format.
func (b budget) pebbleOptions(fs vfs.FS, g *guard) *pebble.Options {
	o := &pebble.Options{
		FS:                          guardedFS{fs, g},
		Logger:                      g,
		EventListener:               g.events(),
		Cache:                       pebble.NewCache(b.blocks),
		MemTableSize:                b.memtable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               128 << 20,
		MaxOpenFiles:                1000,
		BytesPerSync:                1 << 20,
		WALBytesPerSync:             1 << 20,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	o.Experimental.CompactionDebtConcurrency = 256 << 20
	o.TargetFileSizes[0] = 8 << 20
	for i := range o.Levels {
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].IndexBlockSize = 32 << 10
		o.Levels[i].FilterPolicy = pebble.NoFilterPolicy
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return o
}
