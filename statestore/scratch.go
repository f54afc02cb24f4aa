package statestore

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// Scratch is an ordered store for what one batch cannot keep in memory. It implements joiner.Scratch.
// Nothing of it survives Close, or the next Open of the state directory.
type Scratch struct {
	guard
	s   *Store
	dir string
	db  *pebble.DB
	// pending gathers writes; reads see them because Get and Range apply them first.
	pending *pebble.Batch
}

// scratchBatch is how many bytes of writes are gathered.
const scratchBatch = 256 << 10

// Scratch opens a new scratch store.
func (s *Store) Scratch() (*Scratch, error) {
	s.scratch++
	c := &Scratch{guard: guard{broken: make(chan struct{})}, s: s, dir: s.fs.PathJoin(s.dir, "scratch-"+strconv.Itoa(s.scratch))}
	o := s.budget.pebbleOptions(s.fs, &c.guard)
	o.DisableWAL = true
	o.MemTableSize /= 2
	o.Cache.Unref()
	o.Cache = pebble.NewCache(s.budget.blocks / 4)
	defer o.Cache.Unref()
	err := c.do(func() (err error) {
		c.db, err = pebble.Open(c.dir, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open scratch store %s: %w", c.dir, err)
	}
	c.pending = c.db.NewBatch()
	return c, nil
}

// Set implements joiner.Scratch.
func (c *Scratch) Set(key, value []byte) error {
	if err := c.pending.Set(key, value, nil); err != nil {
		return fmt.Errorf("write scratch store: %w", err)
	}
	if c.pending.Len() < scratchBatch {
		return nil
	}
	return c.apply()
}

func (c *Scratch) apply() error {
	if c.pending.Empty() {
		return nil
	}
	if err := c.do(func() error { return c.pending.Commit(pebble.NoSync) }); err != nil {
		return fmt.Errorf("write scratch store: %w", err)
	}
	c.pending = c.db.NewBatch()
	return nil
}

// Get implements joiner.Scratch.
func (c *Scratch) Get(key []byte) (value []byte, ok bool, err error) {
	if err := c.apply(); err != nil {
		return nil, false, err
	}
	value, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read scratch store: %w", err)
	}
	value = append([]byte(nil), value...)
	if err := closer.Close(); err != nil {
		return nil, false, fmt.Errorf("read scratch store: %w", err)
	}
	return value, true, nil
}

// Range implements joiner.Scratch.
func (c *Scratch) Range(lo, hi []byte, yield func(key, value []byte) bool) (err error) {
	if err := c.apply(); err != nil {
		return err
	}
	it, err := c.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return fmt.Errorf("read scratch store: %w", err)
	}
	defer func() {
		if err = errors.Join(err, it.Close()); err != nil {
			err = fmt.Errorf("read scratch store: %w", err)
		}
	}()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if !yield(it.Key(), value) {
			return nil
		}
	}
	return it.Error()
}

// Close drops the scratch store and its files.
func (c *Scratch) Close() error {
	if c.failure() != nil {
		return nil //nolint:nilerr // told by the call that met it; the files go with the next Open
	}
	err := c.do(func() error {
		return errors.Join(c.pending.Close(), c.db.Close(), c.s.fs.RemoveAll(c.dir))
	})
	if err != nil {
		return fmt.Errorf("drop scratch store %s: %w", c.dir, err)
	}
	return nil
}
