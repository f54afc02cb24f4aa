// Package statestore keeps the joiner's state in Pebble: input rows reduced to the columns that views
// read, narrow indexes, and the place in the streams that they belong to. It is a cache of the stream,
// and behind that of the source: never the truth, and never worth an fsync per batch.
//
// A Store belongs to one goroutine, except for Metrics and Failed.
package statestore

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a store.
type Options struct {
	// Memory is what the store may use, in bytes: caches, write buffers and indexes of files; 0 is 256 MiB.
	// Less than 32 MiB counts as 32 MiB.
	Memory int64
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// Begins is told what begins in the background: flush, compaction. nil is allowed. For crash tests.
	Begins func(work string)
}

// Store is an open state directory.
type Store struct {
	guard
	dir     string
	fs      vfs.FS
	o       *pebble.Options
	db      *pebble.DB
	lock    *pebble.Lock
	id      identity
	moved   bool
	budget  budget
	meta    meta
	layouts []tableState // by the engine's table numbers
	indexes []uint16     // by the engine's index numbers
	rows    rowCache
	version uint64 // counts commits
	readers int
	scratch int
}

// Open opens or creates the state directory and locks it.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{guard: guard{broken: make(chan struct{}), begins: o.Begins}, dir: dir, fs: o.FS, budget: plan(o.Memory)}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	s.rows.limit = s.budget.rows
	if err := makeDir(s.fs, dir); err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", dir, err)
	}
	if err := s.do(s.open); err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	s.lock, err = pebble.LockDirectory(s.dir, s.fs)
	if err != nil {
		return fmt.Errorf("%w by another process (a second daemon?): stop it, or give this one a data_dir of its own: %w", ErrLocked, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if s.id, s.moved, err = readIdentity(s.fs, s.dir); err != nil {
		return err
	}
	if err := s.dropScratch(); err != nil {
		return err
	}
	s.o = s.budget.pebbleOptions(s.fs, &s.guard)
	defer s.o.Cache.Unref()
	db := s.fs.PathJoin(s.dir, "db")
	if err := makeDir(s.fs, db); err != nil {
		return err
	}
	if s.db, err = pebble.Open(db, s.o); err != nil {
		return err
	}
	// What was recovered may stand in a log that was never synced; what is written from here on must not
	// outlive it, or a second crash would leave a gap instead of a prefix.
	if err = s.db.Flush(); err == nil {
		err = s.loadMeta()
	}
	if err != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

// dropScratch removes what batches of a process that died had put aside.
func (s *Store) dropScratch() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "scratch") {
			if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove %s left by a run before: %w", n, err)
			}
		}
	}
	return nil
}

// ID identifies this state directory; a copy of it has the same.
func (s *Store) ID() string { return s.id.ID }

// Moved reports that the directory is a copy of the one that was written, or was restored: its Marks
// prove nothing. Reset makes it usable.
func (s *Store) Moved() bool { return s.moved }

// Failed is closed once the disk has failed the store; Err then says how.
func (s *Store) Failed() <-chan struct{} { return s.broken }

// Err returns the failure of the store, or nil.
func (s *Store) Err() error { return s.failure() }

// Reset removes all content, Marks included, and makes the directory a new one.
func (s *Store) Reset() error {
	err := s.do(func() error {
		b := s.db.NewBatch()
		if err := b.DeleteRange([]byte{spaceMeta}, []byte{spaceNote + 1}, nil); err != nil {
			return err
		}
		if err := b.Commit(pebble.Sync); err != nil {
			return err
		}
		id, err := newIdentity(s.fs, s.dir)
		if err != nil {
			return err
		}
		s.id, s.moved = id, false
		return s.loadMeta()
	})
	if err != nil {
		return fmt.Errorf("reset state directory %s: %w", s.dir, err)
	}
	s.layouts, s.indexes = nil, nil
	s.version++
	s.rows.clear()
	return nil
}

// Sync makes all committed batches durable: what a crash of the machine makes the joiner read again is
// what came after.
func (s *Store) Sync() error {
	if err := s.do(func() error { return s.db.LogData(nil, pebble.Sync) }); err != nil {
		return fmt.Errorf("sync state: %w", err)
	}
	return nil
}

// Checkpoint writes a consistent copy to an empty place on the same file system. The copy opens as a
// store that is Moved.
func (s *Store) Checkpoint(dir string) error {
	if err := s.do(func() error {
		if err := makeDir(s.fs, dir); err != nil {
			return err
		}
		if err := s.db.Checkpoint(s.fs.PathJoin(dir, "db"), pebble.WithFlushedWAL()); err != nil {
			return err
		}
		copied := s.id
		return writeIdentity(s.fs, dir, &copied, false)
	}); err != nil {
		return fmt.Errorf("copy state to %s: %w", dir, err)
	}
	return nil
}

// Close ends the use of the directory. Readers and scratch stores must be closed before. After a failure
// it releases what can be released; the directory stays locked until the process ends.
func (s *Store) Close() error {
	if s.failure() != nil {
		return nil //nolint:nilerr // told by the call that met it
	}
	if s.readers > 0 {
		return fmt.Errorf("close state: %d readers are still open", s.readers)
	}
	if err := s.do(func() error { return errors.Join(s.db.Close(), s.lock.Close()) }); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}
